"""The table of families in the reference, made from the classes themselves."""

import dataclasses
import inspect
from pathlib import Path

import scg

PAGE = Path(__file__).parent / "reference" / "distributions.md"
BEGIN, END = "<!-- families: begin -->\n", "<!-- families: end -->\n"


def table() -> str:
    """Give the table, one line for each family that `scg` exports."""
    lines = [
        "| family | parameters | pathwise | finite support | entropy | SciPy |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(getattr(scg, name)) for name in scg.__all__ if _is_family(name)]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Put the table into the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + table() + END + after)


def _is_family(name: str) -> bool:
    value = getattr(scg, name)
    return (
        inspect.isclass(value)
        and issubclass(value, scg.AbstractDistribution)
        and not inspect.isabstract(value)
    )


def _line(family: type[scg.AbstractDistribution]) -> str:
    cells = (
        f"`{family.__name__}`",
        _parameters(family),
        _pathwise(family),
        _yes(inspect.signature(family.support).return_annotation != "None"),
        _yes(not (family.entropy.__doc__ or "").startswith("Raise")),
        _yes("MissingExtraError" in (family.__doc__ or "")),
    )
    return f"| {' | '.join(cells)} |"


def _parameters(family: type[scg.AbstractDistribution]) -> str:
    """List those that are always given, then those of which one is."""
    fields = [f for f in dataclasses.fields(family) if f.name != "_"]
    always = [f"`{f.name}`" for f in fields if f.default is not None]
    one_of = [f"`{f.name}`" for f in fields if f.default is None]
    return ", ".join(always + ([" or ".join(one_of)] if one_of else []))


def _pathwise(family: type[scg.AbstractDistribution]) -> str:
    if family.reparameterised and "implicitly" in (family.__doc__ or ""):
        return "implicit"
    return _yes(family.reparameterised)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


if __name__ == "__main__":
    write()
