"""What a value must be for a function to build graph instead of computing.

The numerical layers (functions, distributions) accept graph nodes without knowing
graphs: they know only this class. It deliberately says nothing about how a node
records the call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["AbstractNode"]


class AbstractNode(ABC):
    """Stand for a value of a graph that has not been computed yet.

    A function called with a node among its arguments hands itself to the node and
    returns what the node makes of it, as NumPy's own functions do (NEP 18).

    References
    ----------
    NumPy Enhancement Proposal 18, "A dispatch mechanism for NumPy's high level array
    functions".

    Examples
    --------
    >>> class Echo(AbstractNode):
    ...     __slots__ = ()
    ...
    ...     def __array_function__(self, func, types, args, kwargs):
    ...         return func.__name__, len(args), kwargs
    >>> import numpy as np
    >>> np.sum(Echo(), axis=-1)
    ('sum', 1, {'axis': -1})
    """

    __slots__ = ()

    @abstractmethod
    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Record a call of ``func`` instead of computing it.

        Parameters
        ----------
        func : callable
            The public function that was called.
        types : iterable of type
            The types among the arguments that implement this method.
        args, kwargs : tuple, mapping
            The arguments of the call, unchanged.

        Returns
        -------
        object
            What the call should return, usually a new node.
        """
