"""Options of an example: whether they make sense, and what is said if they do not."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import scg

__all__ = ["check", "of_fields", "plain_errors"]


def check(
    config: Any, known: Mapping[str, Collection], least: Mapping[str, float]
) -> None:
    """Raise an `InputError` for a field that has an unknown name or too small a number.

    Parameters
    ----------
    config : object
    known : mapping of str to collection of str
        What a field may be.
    least : mapping of str to number
        The least that a field may be, and finite it has to be.
    """
    for name, names in known.items():
        if (got := getattr(config, name)) not in names:
            msg = f"{name}: expected one of {', '.join(map(repr, names))}, got {got!r}."
            raise scg.InputError(msg)
    for name, bound in least.items():
        if not bound <= (got := getattr(config, name)) < math.inf:
            msg = f"{name}: expected a number, {bound:,} or more, got {got!r}."
            raise scg.InputError(msg)


def of_fields(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of a run that are fields of a config."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in settings.items() if name in names}


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with what an error says, and without where it was raised.

    So does Ctrl-C, where `scg.fit` does not wait for it.
    """
    try:
        yield
    except scg.ScgError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except MemoryError as error:
        sys.exit(f"expected enough memory, got: {error}. Choose smaller sizes.")
