"""Optional dependencies, loaded when they are first needed.

`import scg` must be quick and must work without them, so they are not imported at the
top of a module.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from scg.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Full name: ``"safetensors.numpy"``.
    extra : str
        The extra that installs it: ``"train"``.

    Returns
    -------
    module
        The module.

    Raises
    ------
    MissingExtraError
        If it is not installed, with the command that installs it.

    Examples
    --------
    >>> require("json", extra="train").dumps([1])
    '[1]'
    >>> try:
    ...     require("no_such_module", extra="train")
    ... except MissingExtraError as error:
    ...     print(error)
    expected the package 'no_such_module', which is not installed; run \
pip install -e '.[train]' in a clone
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        msg = (
            f"expected the package {package!r}, which is not installed; "
            f"run pip install -e '.[{extra}]' in a clone"
        )
        raise MissingExtraError(msg) from error
