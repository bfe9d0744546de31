"""The state of a random generator as JSON, and back.

It holds what the next draws depend on and how many children the generator's seed
sequence has spawned, so that ``rng.spawn`` continues too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.errors import CheckpointError

__all__ = ["get_rng_state", "set_rng_state"]


def get_rng_state(rng: np.random.Generator) -> dict[str, Any]:
    """Turn the state of a generator into something `json.dumps` takes.

    Parameters
    ----------
    rng : Generator
        With any of NumPy's bit generators. It is not changed.

    Returns
    -------
    dict
        To be given to `set_rng_state`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> record = get_rng_state(rng)
    >>> first = rng.random()
    >>> set_rng_state(rng, record)
    >>> rng.random() == first
    True
    """
    return {
        "bit generator": _to_json(rng.bit_generator.state),
        "seed sequence": _seed_sequence(rng),
    }


def set_rng_state(rng: np.random.Generator, record: dict[str, Any]) -> None:
    """Bring a generator, in place, to a state from `get_rng_state`.

    Parameters
    ----------
    rng : Generator
        With the bit generator that the state was taken from; any seed, unless it had
        spawned children: a seed sequence cannot be replaced, only advanced.
    record : dict
        From `get_rng_state`, or from JSON.

    Raises
    ------
    CheckpointError
        If the state belongs to another kind of bit generator, or to one with another
        seed that has spawned children.

    Examples
    --------
    >>> record = get_rng_state(np.random.default_rng(0))
    >>> try:
    ...     set_rng_state(np.random.Generator(np.random.SFC64(0)), record)
    ... except CheckpointError as error:
    ...     print(error)
    rng: expected a generator over PCG64, whose state was saved, got one over SFC64. \
Pass rng=np.random.Generator(np.random.PCG64(seed)).
    """
    saved = record["bit generator"]["bit_generator"]
    got = type(rng.bit_generator).__name__
    if got != saved:
        msg = (
            f"rng: expected a generator over {saved}, whose state was saved, got one "
            f"over {got}. Pass rng=np.random.Generator(np.random.{saved}(seed))."
        )
        raise CheckpointError(msg)
    _advance_spawns(rng, record["seed sequence"])
    rng.bit_generator.state = _from_json(record["bit generator"])


def _seed_sequence(rng: np.random.Generator) -> dict[str, Any] | None:
    sequence = rng.bit_generator.seed_seq
    if not isinstance(sequence, np.random.SeedSequence):
        return None
    return {
        "entropy": _to_json(sequence.entropy),
        "spawn_key": [int(key) for key in sequence.spawn_key],
        "n_children_spawned": sequence.n_children_spawned,
    }


def _advance_spawns(rng: np.random.Generator, saved: dict[str, Any] | None) -> None:
    if saved is None or saved["n_children_spawned"] == 0:
        return
    own = _seed_sequence(rng)
    missing = saved["n_children_spawned"] - (own or saved)["n_children_spawned"]
    if own is None or missing < 0 or not _same_seed(own, saved):
        msg = (
            "rng: expected a fresh generator with the seed of the saved one, "
            f"{saved['entropy']}, since that has spawned children, got seed "
            f"{own and own['entropy']}. Pass rng with the same seed as in the run that "
            "wrote the checkpoint."
        )
        raise CheckpointError(msg)
    rng.bit_generator.seed_seq.spawn(missing)  # type: ignore[attr-defined]


def _same_seed(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return all(left[key] == right[key] for key in ("entropy", "spawn_key"))


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "values": value.tolist()}
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return int(value) if isinstance(value, np.integer) else value


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.keys() == {"dtype", "values"}:
        return np.array(value["values"], value["dtype"])
    return {key: _from_json(item) for key, item in value.items()}
