"""How a function meets a graph node: NumPy's dispatch, for functions of our own.

The numerical layers (functions, distributions) accept graph nodes without knowing
graphs: they know only `AbstractNode`. What a node makes of a call is not said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, final

import numpy as np
from autograd.extend import primitive

__all__ = ["AbstractNode", "Function"]

P = ParamSpec("P")
_PLAIN = frozenset({np.ndarray, np.float64, np.float32, float, int})


class AbstractNode(ABC):
    """Stand for a value of a graph that has not been computed yet.

    A function called with a node among its arguments hands itself to the node and
    returns what the node makes of it, as NumPy's own functions do (NEP 18). A node that
    is to be a parameter of a distribution also has ``shape`` and ``dtype``.

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


@final
class Function(Generic[P]):
    """Make a NumPy-level computation callable on arrays, boxes and graph nodes.

    Equivalent to ``compute`` on plain arrays, to ``primitive`` where an autograd box
    is among the arguments, and to ``node.__array_function__`` where a node is.

    Parameters
    ----------
    compute : callable
        From plain arrays (or scalars) to a plain array.

    Attributes
    ----------
    primitive : callable
        The key under which autograd's registry holds the derivative rule.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import grad
    >>> from autograd.extend import defvjp
    >>> cube = Function(lambda x: x**3)
    >>> defvjp(cube.primitive, lambda ans, x: lambda g: g * 3 * x**2)
    >>> cube(np.array([2.0])).tolist(), float(grad(cube)(2.0))
    ([8.0], 12.0)
    """

    def __init__(self, compute: Callable[P, Any]) -> None:
        self.compute = compute
        self.primitive: Callable[..., Any] = primitive(compute)
        update_wrapper(self, compute)
        self.__name__: str = compute.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Compute, or let the first node among the arguments record the call."""
        if _PLAIN.issuperset(map(type, args)):
            return self.compute(*args, **kwargs)
        for arg in args:
            if isinstance(arg, AbstractNode):
                return arg.__array_function__(self, (type(arg),), args, kwargs)
        return self.primitive(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<function scg.{self.__name__}>"

    def __reduce__(self) -> str:
        # Copies and pickles of a module-level function are the function itself.
        return self.__name__
