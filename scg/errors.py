"""Every exception of the library, each with the builtin it refines.

::

    ScgError (Exception)
    ├── GraphError (ValueError)            a graph that cannot mean anything
    │   ├── ShapeError                     shapes or rows that do not fit
    │   ├── DuplicateNameError             one name for two nodes
    │   └── TruthValueError (TypeError)    a truth test on a node
    ├── UnknownNameError (KeyError)        a name nobody has
    ├── DistributionError (ValueError)     parameters outside their range
    │   └── NoClosedFormError (NotImplementedError)  a quantity without a formula
    ├── EstimatorError (ValueError)        an estimator that cannot be used here
    │   ├── NotDifferentiableError         a needed derivative does not exist
    │   ├── BaselineError                  a baseline that would bias
    │   ├── CriticError                    a critic that reads too little
    │   └── UnreachableParamError          no gradient can reach a param
    ├── InputError (ValueError)            inputs or params that do not fit the graph
    ├── CellIndexError (IndexError)        an index that no cell of a memory has
    ├── BlackBoxError (RuntimeError)       a user's function failed
    ├── SimulatorError (RuntimeError)      an environment failed
    ├── NonFiniteError (FloatingPointError)  a NaN or an infinity
    ├── CheckpointError (OSError)          a checkpoint that cannot be read or written
    ├── PictureError (OSError)             a picture that cannot be laid out or written
    └── MissingExtraError (ImportError)    an optional dependency is not installed

A message says what was expected, what came, for which node, and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BaselineError",
    "BlackBoxError",
    "CellIndexError",
    "CheckpointError",
    "CriticError",
    "DistributionError",
    "DuplicateNameError",
    "EstimatorError",
    "GraphError",
    "InputError",
    "MissingExtraError",
    "NoClosedFormError",
    "NonFiniteError",
    "NotDifferentiableError",
    "PictureError",
    "ScgError",
    "ShapeError",
    "SimulatorError",
    "TruthValueError",
    "UnknownNameError",
    "UnreachableParamError",
    "note_node",
    "unknown_name",
]


class ScgError(Exception):
    """Catch everything the library raises on purpose.

    Examples
    --------
    >>> try:
    ...     raise ShapeError("expected one number a row, got shape (3,)")
    ... except ScgError as error:
    ...     print(error)
    expected one number a row, got shape (3,)
    """


class GraphError(ScgError, ValueError):
    """Report a graph that cannot mean anything.

    Examples
    --------
    >>> issubclass(GraphError, ValueError)
    True
    """


class ShapeError(GraphError):
    """Report shapes, dtypes or rows that do not fit together.

    Examples
    --------
    >>> issubclass(ShapeError, GraphError)
    True
    """


class DuplicateNameError(GraphError):
    """Report one name given to two nodes.

    Examples
    --------
    >>> issubclass(DuplicateNameError, GraphError)
    True
    """


class TruthValueError(GraphError, TypeError):
    """Report a truth test on a node, which has no value while a graph is built.

    Examples
    --------
    >>> issubclass(TruthValueError, TypeError)
    True
    """


class UnknownNameError(ScgError, KeyError):
    """Report a name that nothing carries; see `unknown_name` for the message.

    Examples
    --------
    >>> print(UnknownNameError("no node is named 'thet'"))
    no node is named 'thet'
    """

    def __str__(self) -> str:
        # KeyError shows the repr of its argument: a quoted, escaped message.
        return str(self.args[0]) if self.args else ""


class DistributionError(ScgError, ValueError):
    """Report parameters of a distribution that are missing or out of range.

    Examples
    --------
    >>> issubclass(DistributionError, ValueError)
    True
    """


class NoClosedFormError(DistributionError, NotImplementedError):
    """Report an entropy that no finite formula gives.

    Examples
    --------
    >>> issubclass(NoClosedFormError, NotImplementedError)
    True
    """


class EstimatorError(ScgError, ValueError):
    """Report an estimator that cannot be used where it was put.

    Examples
    --------
    >>> issubclass(EstimatorError, ValueError)
    True
    """


class NotDifferentiableError(EstimatorError):
    """Report a derivative that an estimator needs and that does not exist.

    Examples
    --------
    >>> issubclass(NotDifferentiableError, EstimatorError)
    True
    """


class BaselineError(EstimatorError):
    """Report a baseline that reads what its node influences: it would bias.

    Examples
    --------
    >>> issubclass(BaselineError, EstimatorError)
    True
    """


class CriticError(EstimatorError):
    """Report a critic that reads too little to be right, naming the open path.

    Examples
    --------
    >>> issubclass(CriticError, EstimatorError)
    True
    """


class UnreachableParamError(EstimatorError):
    """Report a param that no gradient can reach.

    Examples
    --------
    >>> issubclass(UnreachableParamError, EstimatorError)
    True
    """


class InputError(ScgError, ValueError):
    """Report inputs or params that do not fit the graph they were given to.

    Examples
    --------
    >>> issubclass(InputError, ValueError)
    True
    """


class CellIndexError(ScgError, IndexError):
    """Report an index that no cell of a memory has.

    Examples
    --------
    >>> issubclass(CellIndexError, IndexError)
    True
    """


class BlackBoxError(ScgError, RuntimeError):
    """Report that a user's function failed, or returned what it did not declare.

    Attributes
    ----------
    arguments : tuple
        What the function was called with, to call it again by itself.

    Examples
    --------
    >>> issubclass(BlackBoxError, RuntimeError)
    True
    """

    arguments: tuple[Any, ...] = ()


class SimulatorError(ScgError, RuntimeError):
    """Report that an environment failed, or does not fit the graph.

    Examples
    --------
    >>> issubclass(SimulatorError, RuntimeError)
    True
    """


class NonFiniteError(ScgError, FloatingPointError):
    """Report the node where the first NaN or infinity appeared.

    Examples
    --------
    >>> issubclass(NonFiniteError, ArithmeticError)
    True
    """


class CheckpointError(ScgError, OSError):
    """Report a checkpoint that cannot be read, written or matched.

    Examples
    --------
    >>> issubclass(CheckpointError, OSError)
    True
    """


class PictureError(ScgError, OSError):
    """Report a picture that cannot be laid out or written.

    Examples
    --------
    >>> issubclass(PictureError, OSError)
    True
    """


class MissingExtraError(ScgError, ImportError):
    """Report an optional dependency that is not installed.

    Examples
    --------
    >>> issubclass(MissingExtraError, ImportError)
    True
    """


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not among the known ones.

    The names nearest to it come first; where none is near, all are listed.

    Parameters
    ----------
    kind : str
        What the name should have named: ``"node"``, ``"param"``, ``"input"``.
    name : object
        The name that was given.
    known : iterable of str
        The names there are.

    Returns
    -------
    UnknownNameError
        To be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("param", "thet", ["theta", "loss"]))
    expected the name of a param, got 'thet'; did you mean 'theta'?
    >>> print(unknown_name("param", "q", ["theta", "loss"]))
    expected the name of a param, got 'q'; there are 'loss', 'theta'
    >>> print(unknown_name("param", "q", []))
    expected the name of a param, got 'q'; there is none
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names) if isinstance(name, str) else []
    msg = f"expected the name of a {kind}, got {name!r}; {_way_out(near, names)}"
    return UnknownNameError(msg)


def _way_out(near: list[str], names: list[str]) -> str:
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    if names:
        return f"there are {', '.join(map(repr, names))}"
    return "there is none"


def note_node(error: Exception, node: Any) -> None:
    """Add to an error of NumPy's or a user's own which node's value was being computed.

    The library's errors name the node themselves.

    Parameters
    ----------
    error : Exception
        As it was raised; it stays the same error.
    node : Node
        Shown by its ``repr``, and what it is computed from by name.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> y = graph.param("table", [1.0, 2.0])[graph.input("i", dtype=int)]
    >>> error = IndexError("index 3 is out of bounds")
    >>> note_node(error, y)
    >>> error.__notes__[0].replace(repr(y), "y")
    "while computing y from 'table', 'i'"
    """
    if not isinstance(error, ScgError):
        names = ", ".join(repr(parent.name) for parent in node.inputs)
        error.add_note(f"while computing {node!r}" + f" from {names}" * bool(names))
