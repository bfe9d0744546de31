"""The table of estimators in the how-to page, made from the classes' declarations."""

import inspect
from pathlib import Path

import scg

PAGE = Path(__file__).parent / "how-to" / "choose-an-estimator.md"
BEGIN, END = "<!-- estimators: begin -->\n", "<!-- estimators: end -->\n"


def table() -> str:
    """Give the table, one line for each estimator that `scg` exports."""
    lines = [
        "| estimator | what it is | what it needs | families | unbiased | any order |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(getattr(scg, name)) for name in scg.__all__ if _is_estimator(name)]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Put the table into the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + table() + END + after)


def _is_estimator(name: str) -> bool:
    value = getattr(scg, name)
    return (
        inspect.isclass(value)
        and issubclass(value, scg.AbstractEstimator)
        and not inspect.isabstract(value)
    )


def _line(estimator: type[scg.AbstractEstimator]) -> str:
    cells = (
        f"`{estimator.__name__}`",
        estimator.summary,
        ", ".join(sorted(_needs(estimator))),
        ", ".join(sorted(each.__name__ for each in estimator.families)) or "all",
        "yes" if estimator.unbiased else "no",
        "yes" if estimator.any_order else "no",
    )
    return f"| {' | '.join(cells)} |"


def _needs(estimator: type[scg.AbstractEstimator]) -> frozenset[str]:
    more = {"differentiable way down"} if estimator.pathwise else set()
    return estimator.needs | more


if __name__ == "__main__":
    write()
