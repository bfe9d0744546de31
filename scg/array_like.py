"""How a node looks to code written for arrays: operators, methods, and refusals.

Operators and methods call NumPy's functions, which hand themselves on to the node. What
would need the node's value, which is not known while a graph is built, or would write
into it, is refused with the way out. What a node makes of a call is not said here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

import numpy as np

from scg.errors import GraphError, ShapeError, TruthValueError
from scg.protocol import AbstractNode

__all__ = ["AbstractArray", "refuse_writing"]


class AbstractArray(AbstractNode, np.lib.mixins.NDArrayOperatorsMixin):
    """A node that can stand where code expects an array.

    ``x += y`` binds ``x`` to a new node, as it does for a Python number: nodes do not
    change.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> x = scg.Graph().input("x", shape=(3,))
    >>> issubclass(scg.Node, AbstractArray), x.sum(axis=-1).shape
    (True, (rows,))
    """

    __slots__ = ()
    __hash__ = object.__hash__

    name: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape, of which the first entry may be ``rows``."""

    @property
    @abstractmethod
    def has_rows(self) -> bool:
        """Whether axis 0 is rows."""

    @property
    def ndim(self) -> int:
        """The number of axes, rows included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements, of a node without rows."""
        if self.has_rows:
            msg = (
                f"node {self.name!r} of shape {self.shape}: the number of its elements "
                "is not known while the graph is built, since the number of rows is "
                "not. np.mean(x, axis=-1) averages over the elements of a row."
            )
            raise ShapeError(msg)
        return int(np.prod(self.shape))

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        """The transpose, for a node without rows."""
        return np.transpose(self)

    @property
    def real(self) -> Any:
        """Call ``np.real`` on this node."""
        return np.real(self)

    @property
    def imag(self) -> Any:
        """Call ``np.imag`` on this node."""
        return np.imag(self)

    def sum(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.sum`` on this node."""
        return np.sum(self, axis=axis, **kwargs)

    def mean(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.mean`` on this node."""
        return np.mean(self, axis=axis, **kwargs)

    def max(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.max`` on this node."""
        return np.max(self, axis=axis, **kwargs)

    def min(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.min`` on this node."""
        return np.min(self, axis=axis, **kwargs)

    def prod(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.prod`` on this node."""
        return np.prod(self, axis=axis, **kwargs)

    def std(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.std`` on this node."""
        return np.std(self, axis=axis, **kwargs)

    def var(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.var`` on this node."""
        return np.var(self, axis=axis, **kwargs)

    def any(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.any`` on this node."""
        return np.any(self, axis=axis, **kwargs)

    def all(self, axis: Any = None, **kwargs: Any) -> Any:
        """Call ``np.all`` on this node."""
        return np.all(self, axis=axis, **kwargs)

    def cumsum(self, axis: Any = None) -> Any:
        """Call ``np.cumsum`` on this node."""
        return np.cumsum(self, axis)

    def cumprod(self, axis: Any = None) -> Any:
        """Call ``np.cumprod`` on this node."""
        return np.cumprod(self, axis)

    def argmax(self, axis: Any = None) -> Any:
        """Call ``np.argmax`` on this node; it has no derivative."""
        return np.argmax(self, axis=axis)

    def argmin(self, axis: Any = None) -> Any:
        """Call ``np.argmin`` on this node; it has no derivative."""
        return np.argmin(self, axis=axis)

    def argsort(self, axis: int = -1) -> Any:
        """Call ``np.argsort`` on this node; it has no derivative."""
        return np.argsort(self, axis=axis)

    def reshape(self, *shape: Any) -> Any:
        """Call ``np.reshape`` on this node; the first axis stays the rows."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Any:
        """Call ``np.ravel`` on this node, which must have no rows."""
        return np.ravel(self)

    def flatten(self) -> Any:
        """Call ``np.ravel`` on this node, which must have no rows."""
        return np.ravel(self)

    def transpose(self, *axes: Any) -> Any:
        """Call ``np.transpose`` on this node; the first axis stays the rows."""
        return np.transpose(self, axes[0] if len(axes) == 1 else (axes or None))

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        """Call ``np.swapaxes`` on this node."""
        return np.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        """Call ``np.squeeze`` on this node."""
        return np.squeeze(self, axis)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        """Call ``np.repeat`` on this node."""
        return np.repeat(self, repeats, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """Call ``np.diagonal`` on this node."""
        return np.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """Call ``np.trace`` on this node."""
        return np.trace(self, offset, axis1, axis2)

    def take(self, indices: Any, axis: Any = None) -> Any:
        """Call ``np.take`` on this node."""
        return np.take(self, indices, axis)

    def clip(self, minimum: Any = None, maximum: Any = None) -> Any:
        """Call ``np.clip`` on this node."""
        return np.clip(self, minimum, maximum)

    def round(self, decimals: int = 0) -> Any:
        """Call ``np.round`` on this node; it has no derivative."""
        return np.round(self, decimals)

    def conj(self) -> Any:
        """Call ``np.conj`` on this node."""
        return np.conj(self)

    def dot(self, other: Any) -> Any:
        """Multiply matrices."""
        return self @ other

    def astype(self, dtype: Any) -> Any:
        """Call ``np.astype`` on this node."""
        return np.astype(self, np.dtype(dtype))  # type: ignore[call-overload]

    def copy(self) -> Any:
        """Return the node itself, which does not change."""
        return self

    def __bool__(self) -> NoReturn:
        msg = (
            f"node {self.name!r}: expected a number to branch on, got a node, whose "
            "value is not known while the graph is built. Use np.where(condition, a, "
            "b) for a choice inside the model, np.logical_and for `and`, "
            "np.maximum for `max`."
        )
        raise TruthValueError(msg)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        msg = (
            f"node {self.name!r}: expected an array, got a node, which has no value "
            "while the graph is built. Join nodes with np.stack or np.concatenate; "
            "look a sample up in an array with graph.constant(array)[sample]; wrap a "
            "function that needs values in scg.black_box (any function) or "
            "scg.deterministic (one that autograd can differentiate)."
        )
        raise GraphError(msg)

    def __float__(self) -> NoReturn:
        self.__array__()

    __int__ = __index__ = __complex__ = __float__

    def item(self, *args: Any) -> NoReturn:
        """Refuse: a node has no value while the graph is built."""
        self.__array__()

    def tolist(self) -> NoReturn:
        """Refuse: a node has no value while the graph is built."""
        self.__array__()

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        refuse_writing(self.name, "x[...] = value")

    # The mixin's own would write into the node.
    __iadd__ = np.lib.mixins.NDArrayOperatorsMixin.__add__
    __isub__ = np.lib.mixins.NDArrayOperatorsMixin.__sub__
    __imul__ = np.lib.mixins.NDArrayOperatorsMixin.__mul__
    __imatmul__ = np.lib.mixins.NDArrayOperatorsMixin.__matmul__
    __itruediv__ = np.lib.mixins.NDArrayOperatorsMixin.__truediv__
    __ifloordiv__ = np.lib.mixins.NDArrayOperatorsMixin.__floordiv__
    __imod__ = np.lib.mixins.NDArrayOperatorsMixin.__mod__
    __ipow__ = np.lib.mixins.NDArrayOperatorsMixin.__pow__
    __iand__ = np.lib.mixins.NDArrayOperatorsMixin.__and__
    __ior__ = np.lib.mixins.NDArrayOperatorsMixin.__or__
    __ixor__ = np.lib.mixins.NDArrayOperatorsMixin.__xor__
    __ilshift__ = np.lib.mixins.NDArrayOperatorsMixin.__lshift__
    __irshift__ = np.lib.mixins.NDArrayOperatorsMixin.__rshift__


def refuse_writing(name: str, what: str) -> NoReturn:
    """Raise for a call that would write into an array.

    Examples
    --------
    >>> refuse_writing("x", "np.copyto")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    scg.errors.GraphError: node 'x': np.copyto would write into an array, and ...
    """
    msg = (
        f"node {name!r}: {what} would write into an array, and a model is made of "
        "values that do not change. Make a new node: np.where to replace some "
        "entries, np.concatenate to put parts together, x = x + y to add up."
    )
    raise GraphError(msg)
