"""What is said, once, when something has gone wrong for long enough."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["Findings"]

logger = logging.getLogger(__name__)

# What is wrong, since when, and what helps.
_SENTENCES = {
    "noise": (
        "The gradient's noise has been over {times:.0f} times its signal for {steps} "
        "steps. If the cost is not yet as low as it can be: take more rows or samples, "
        "a baseline, or another estimator; scg.audit measures which."
    ),
    "no gradient": (
        "param {name!r}: its gradient has been exactly 0 for {steps} steps. Dead "
        "units, a constant cost or a saturated function lie on its way; "
        "graph.explain() says which way that is."
    ),
    "no entropy": (
        "node {name!r}: for {steps} steps its entropy has been below {share:.0%} of "
        "what it could be: it hardly tries anything else any more. If the cost is not "
        "yet as low as it can be: start with smaller logits, lower the learning rate, "
        "or give the entropy a weight."
    ),
    "no credit": (
        "node {name!r}: at all looks in {steps} steps what it did made no difference: "
        "every row had the same downstream cost, or an advantage of 0. See "
        "graph.downstream_costs, and whether the cost really varies."
    ),
    "nothing explained": (
        "{name}: for {steps} steps the learned baseline has been no better than the "
        "mean cost (explained variance at most 0). Give its value node what the cost "
        "depends on, or a larger weight or learning rate, or take BatchMean in its "
        "place."
    ),
    "dead units": (
        "node {name!r}: {share:.0%} of its units have been 0 in every row, at all "
        "looks in {steps} steps. They pass no gradient on. Lower the learning rate, "
        "start with other weights, or use a function that is not flat, such as "
        "scg.softplus."
    ),
    "clipped": (
        "Over {steps} steps, more than half of the decisions were clipped: the params "
        "move too far in one step. Lower the learning rate, or epochs."
    ),
    "divergence": (
        "Over {steps} steps, the divergence from the run that is learnt from was above "
        ".1: its samples say little about the new params. Lower the learning rate, or "
        "epochs."
    ),
}


class Findings:
    """Sentences about a run, each said once.

    Examples
    --------
    >>> findings = Findings()
    >>> for _ in range(3):
    ...     findings.note("no gradient", "w", True, looks=2, every=10)
    >>> findings.said[0][:56]
    "param 'w': its gradient has been exactly 0 for 20 steps."
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self._streaks: dict[tuple[str, str], int] = {}

    def note(
        self,
        kind: str,
        name: str,
        holds: bool,
        *,
        looks: int,
        every: int,
        **values: Any,
    ) -> None:
        """Count at how many looks in a row something holds; at `looks`, say so.

        Parameters
        ----------
        kind : str
            One of the sentences.
        name : str
            What it is about.
        holds : bool
            Whether it holds now.
        looks : int
            How often in a row it must hold.
        every : int
            Steps from one look to the next.
        **values
            Numbers for the sentence.
        """
        key = kind, name
        streak = self._streaks.get(key, 0)
        if streak >= looks:
            return  # it has been said
        self._streaks[key] = streak + 1 if holds else 0
        if self._streaks[key] == looks:
            steps = looks * every
            sentence = _SENTENCES[kind].format(name=name, steps=steps, **values)
            self.said.append(sentence)
            logger.warning("%s", sentence)
