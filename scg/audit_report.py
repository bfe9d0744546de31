"""An audit as plain text, as a table in colour and as a picture."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scg.extras import require
from scg.gradient_figures import GradientFigures
from scg.pictures import new_figure, save_figure

__all__ = ["ChoiceFigures", "SiteFigures", "aligned", "as_rich", "as_text", "draw"]

_HEADS = ("choice", "bias", "max |z|", "variance", "SNR", "ms", "variance × s")
_SITES = (
    "choice",
    "node",
    "estimator",
    "credited with",
    "explained",
    "entropy",
    "declared biases",
)


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """Figures of one stochastic node under one choice of estimators.

    Attributes
    ----------
    estimator : str
        The class.
    biases : tuple of str
        What the estimator declares.
    costs : tuple of str
        The costs that a decision is credited with.
    explained_variance : float or None
        1 - Var(advantage) / Var(Q̂), over rows and repeats; None without a baseline.
    entropy : float or None
        In nats; None where there is no closed form.
    """

    estimator: str
    biases: tuple[str, ...]
    costs: tuple[str, ...]
    explained_variance: float | None
    entropy: float | None


@dataclass(frozen=True, slots=True)
class ChoiceFigures:
    """Figures of one choice of estimators.

    Attributes
    ----------
    name : str
    params : dict of str to GradientFigures
    total : GradientFigures
        Of all params that costs reach; those that only a regression trains are not in
        it.
    nodes : dict of str to SiteFigures
    cost : float
        The mean.
    seconds : float
        The median of one call.
    """

    name: str
    params: dict[str, GradientFigures]
    total: GradientFigures
    nodes: dict[str, SiteFigures]
    cost: float
    seconds: float

    @property
    def work_normalised_variance(self) -> float:
        """Variance times seconds: what the same variance costs in time."""
        return self.total.variance * self.seconds

    @property
    def declared_biased(self) -> bool:
        """Whether an estimator says so."""
        return any(site.biases for site in self.nodes.values())

    @property
    def found_biased(self) -> bool:
        """Whether the estimates are further off than chance explains."""
        return self.total.is_off

    @property
    def bias(self) -> str:
        """``declared``, ``found``, both, or nothing."""
        words = {"declared": self.declared_biased, "found": self.found_biased}
        return " and ".join(word for word, holds in words.items() if holds)


def as_text(choices: Sequence[ChoiceFigures], footer: str) -> str:
    """Write what was found as plain tables."""
    parts = [aligned([_HEADS, *map(_row, choices)])]
    sites = [row for choice in choices for row in _site_rows(choice)]
    if sites:
        parts.append(aligned([_SITES, *sites]))
    return "\n\n".join([*parts, footer])


def as_rich(choices: Sequence[ChoiceFigures], footer: str) -> Any:
    """Make a table of `rich`; biased choices stand in red."""
    table = require("rich.table", extra="train").Table(caption=footer)
    for k, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if k < 2 else "right")
    for choice in choices:
        table.add_row(*_row(choice), style="red" if choice.bias else None)
    return table


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Write rows with aligned columns.

    Examples
    --------
    >>> print(aligned([("a", "bb"), ("ccc", "d")]))
    a    bb
    ccc  d
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def draw(choices: Sequence[ChoiceFigures], path: str | os.PathLike[str]) -> None:
    """Draw variance against time, and how the gradients of single numbers spread."""
    single = [k for k, f in choices[0].params.items() if f.draws is not None][:4]
    panels = 1 + len(single)
    figure, axes = new_figure(1, panels, (4.2 * panels, 3.6))
    _draw_trade(axes.flat[0], choices)
    for ax, name in zip(axes.flat[1:], single, strict=True):
        _draw_spread(ax, choices, name)
    save_figure(figure, path)


def _draw_trade(ax: Any, choices: Sequence[ChoiceFigures]) -> None:
    for choice in choices:
        mark = "x" if choice.bias else "o"
        x, y = 1e3 * choice.seconds, choice.total.variance
        ax.plot([x], [y], mark, label=choice.name)
    if all(choice.total.variance > 0 for choice in choices):
        ax.set_yscale("log")
    else:
        ax.set_yscale("symlog", linthresh=_least(choices))
        ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.set_xlabel("ms a call")
    ax.set_ylabel("variance of the gradient")
    ax.set_title("crosses are biased", fontsize=9)
    ax.legend(fontsize=8)
    ax.grid(alpha=0.3)


def _least(choices: Sequence[ChoiceFigures]) -> float:
    return min((c.total.variance for c in choices if c.total.variance > 0), default=1.0)


def _draw_spread(ax: Any, choices: Sequence[ChoiceFigures], name: str) -> None:
    drawn = [c for c in choices if c.params[name].draws is not None]
    ax.boxplot(
        [c.params[name].draws for c in drawn],
        orientation="horizontal",
        tick_labels=[c.name for c in drawn],
        showmeans=True,
        sym=".",
    )
    ax.invert_yaxis()
    ax.set_xlabel(f"gradient of {name}")
    ax.grid(alpha=0.3)


def _row(choice: ChoiceFigures) -> tuple[str, ...]:
    total = choice.total
    return (
        choice.name,
        choice.bias or "none",
        number(total.max_z),
        number(total.variance),
        number(total.signal_to_noise),
        number(1e3 * choice.seconds),
        number(choice.work_normalised_variance),
    )


def _site_rows(choice: ChoiceFigures) -> list[tuple[str, ...]]:
    return [
        (
            choice.name,
            name,
            site.estimator,
            ", ".join(site.costs) or "nothing",
            number(site.explained_variance),
            number(site.entropy),
            ", ".join(site.biases) or "none",
        )
        for name, site in choice.nodes.items()
    ]


def number(value: float | None) -> str:
    """Write a number in three digits, a dash for what is not known.

    Examples
    --------
    >>> number(None), number(0.0), number(1234.5), number(0.00012345)
    ('-', '0', '1.23e+03', '0.000123')
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3g}"
