"""Checkpoints: every bit comes back, and no crash or damage goes unnoticed."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scg.checkpoint import load, save
from scg.checkpoint_folder import (
    check_writable,
    checkpoint_path,
    latest,
    rotate,
    saved_steps,
    set_aside,
)
from scg.errors import CheckpointError, InputError, MissingExtraError
from scg.random_state import get_rng_state, set_rng_state

DTYPES = [
    "bool",
    "int8",
    "uint8",
    "int32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
]
STORABLE = st.sampled_from([np.dtype(name) for name in DTYPES])
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    STORABLE.flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
    ),
    max_size=4,
)
MODEL = {"W": np.arange(6.0).reshape(2, 3), "b": np.zeros(3, np.float32)}


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].shape == right[name].shape
        assert left[name].tobytes() == right[name].tobytes()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrays=ARRAYS, metadata=st.dictionaries(st.text(), st.floats() | st.integers()))
def test_every_bit_comes_back(tmp_path, arrays, metadata):
    path = tmp_path / "model.safetensors"
    save(path, arrays, metadata)
    loaded, loaded_metadata = load(path)
    assert_same_bits(loaded, arrays)
    assert repr(loaded_metadata) == repr(metadata)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_every_kind_and_shape_comes_back(tmp_path, dtype, shape):
    arrays = {"x": np.ones(shape, dtype)}
    save(tmp_path / "x", arrays)
    loaded, metadata = load(tmp_path / "x")
    assert_same_bits(loaded, arrays)
    assert metadata is None
    loaded["x"][...] = 0


def test_arrays_in_another_order_of_memory_or_bytes_come_back(tmp_path):
    base = np.arange(6.0).reshape(2, 3)
    save(tmp_path / "x", {"t": base.T, "s": base[:, ::2], "e": base.astype(">f8")})
    loaded, _ = load(tmp_path / "x")
    assert loaded["t"].tolist() == base.T.tolist()
    assert loaded["s"].tolist() == base[:, ::2].tolist()
    assert loaded["e"].tolist() == base.tolist()


@pytest.mark.parametrize("value", [np.array("text"), np.array([None]), np.array(1j)])
def test_arrays_that_cannot_be_stored_are_named(tmp_path, value):
    with pytest.raises(InputError, match="array 'bad': expected bool, integers"):
        save(tmp_path / "x", {"bad": value})
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_is_not_json_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"metadata: expected what json\.dumps takes"):
        save(tmp_path / "x", {}, {"rng": object()})


def test_damage_to_any_byte_is_found(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, MODEL, {"step": 7, "cost": 0.25})
    content = path.read_bytes()
    unnoticed = []
    for place in range(len(content)):
        path.write_bytes(
            content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        )
        try:
            arrays, metadata = load(path)
        except CheckpointError:
            continue
        assert_same_bits(arrays, MODEL)
        assert metadata == {"step": 7, "cost": 0.25}
        unnoticed.append(place)
    # What changes nothing that is read, such as a blank that pads the header.
    assert len(unnoticed) < 10


@pytest.mark.parametrize(("old", "new"), [(b"F64", b"I64"), (b"[2,3]", b"[3,2]")])
def test_a_header_changed_to_another_valid_one_is_found(tmp_path, old, new):
    path = tmp_path / "model.safetensors"
    save(path, MODEL)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(CheckpointError, match="digest"):
        load(path)


def test_a_file_cut_at_any_byte_is_found(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, MODEL, {"step": 7})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(
            CheckpointError, match="damaged or not a checkpoint: delete"
        ):
            load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(CheckpointError, match="bytes"):
        load(path)


def test_a_file_cut_short_is_said_to_be(tmp_path):
    save(tmp_path / "x", MODEL)
    size = (tmp_path / "x").stat().st_size
    os.truncate(tmp_path / "x", size - 5)
    with pytest.raises(CheckpointError, match=f"cut short: {size - 5} of {size} bytes"):
        load(tmp_path / "x")


def test_a_file_of_another_version_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr("scg.checkpoint.FORMAT_VERSION", 2)
    save(tmp_path / "x", MODEL)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="expected format 1, got 2"):
        load(tmp_path / "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint at all, but long enough",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (30).to_bytes(8, "little") + json.dumps({"__metadata__": {"a": "b"}}).encode(),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load(tmp_path / "x")


def test_a_missing_file_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load(tmp_path / "x")


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[train\]'"):
        save(tmp_path / "x", MODEL)


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch, call, failure):
    def fail(*args):
        raise failure

    path = tmp_path / "model.safetensors"
    save(path, MODEL, "old")
    monkeypatch.setattr(call, fail)
    expected = CheckpointError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        save(path, {}, "new")
    monkeypatch.undo()
    assert isinstance(failure, KeyboardInterrupt) or "No space" in str(caught.value)
    assert load(path)[1] == "old"
    assert list(tmp_path.iterdir()) == [path]


KILLED_WHILE_SAVING = """
import os, pathlib, signal, sys
import numpy as np
from scg.checkpoint import save

stage, path = sys.argv[1:]
die = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
if stage == "half":
    opened = pathlib.Path.open
    def open_half(self, mode):
        file = opened(self, mode, buffering=0)
        file.write(b"half")
        die()
    pathlib.Path.open = open_half
if stage == "flush":
    os.fsync = die
if stage == "rename":
    pathlib.Path.replace = die
if stage == "folder":
    os.open = die
save(path, {"x": np.ones(3)}, "new")
"""


@pytest.mark.parametrize(
    ("stage", "survivor"),
    [("half", "old"), ("flush", "old"), ("rename", "old"), ("folder", "new")],
)
def test_a_process_killed_while_it_saves_leaves_the_old_file_or_the_new_one(
    tmp_path, stage, survivor
):
    path = tmp_path / "model.safetensors"
    save(path, MODEL, "old")
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, stage, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run(command, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert load(path)[1] == survivor
    save(path, {}, "after")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_flushed_before_it_gets_its_name_and_the_folder_after(
    tmp_path, monkeypatch
):
    events = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        events.append(("fsync", name))
        fsync(descriptor)

    def note_replace(self, target):
        events.append(("replace", self.name))
        assert self.parent == target.parent
        return replace(self, target)

    monkeypatch.setattr("os.fsync", note_fsync)
    monkeypatch.setattr("pathlib.Path.replace", note_replace)
    save(tmp_path / "x", MODEL)
    temporary = ".x.tmp"
    folder = tmp_path.name
    assert events == [("fsync", temporary), ("replace", temporary), ("fsync", folder)]


def test_the_newest_intact_checkpoint_is_found(tmp_path, caplog):
    for step in (5, 40, 1_000_000_000):
        save(checkpoint_path(tmp_path, step), {}, step)
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    assert load(latest(tmp_path))[1] == 1_000_000_000
    os.truncate(checkpoint_path(tmp_path, 1_000_000_000), 20)
    assert load(latest(tmp_path))[1] == 40
    assert "cut short" in caplog.text


def test_a_folder_with_nothing_but_damage_is_an_error_not_a_fresh_start(tmp_path):
    for step in (1, 2):
        checkpoint_path(tmp_path, step).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="only ones that cannot be read"):
        latest(tmp_path)


def test_an_empty_or_missing_folder_has_no_latest(tmp_path):
    assert latest(tmp_path) is None
    assert latest(tmp_path / "none") is None


def test_rotation_keeps_the_newest_and_removes_leftovers(tmp_path):
    for step in (9, 10, 11, 100):
        save(checkpoint_path(tmp_path, step), {})
    (tmp_path / ".step-000000050.safetensors.tmp").write_bytes(b"half")
    (tmp_path / "weights.safetensors").write_bytes(b"mine")
    rotate(tmp_path, keep=2)
    assert list(saved_steps(tmp_path)) == [11, 100]
    assert (tmp_path / "weights.safetensors").exists()
    assert not list(tmp_path.glob(".*"))


def test_checkpoints_set_aside_do_not_count_and_are_not_lost(tmp_path):
    for step in (1, 2, 3):
        save(checkpoint_path(tmp_path, step), {})
    set_aside(tmp_path, after=1)
    assert list(saved_steps(tmp_path)) == [1]
    assert len(list(tmp_path.glob("*.damaged"))) == 2


def test_a_file_in_the_way_of_the_folder_is_found_at_once(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(CheckpointError, match="expected one that can be written to"):
        check_writable(tmp_path / "x", 10)


def test_a_disk_too_full_is_found_at_once(tmp_path):
    with pytest.raises(CheckpointError, match="free bytes for two checkpoints"):
        check_writable(tmp_path, 10**18)


BIT_GENERATORS = [
    np.random.MT19937,
    np.random.PCG64,
    np.random.PCG64DXSM,
    np.random.Philox,
    np.random.SFC64,
]


@pytest.mark.parametrize("bit_generator", BIT_GENERATORS)
def test_a_generator_goes_on_from_its_state(bit_generator):
    rng = np.random.Generator(bit_generator(3))
    rng.normal(size=101)
    rng.integers(0, 9, dtype=np.int32)  # leaves half of a 64-bit draw behind
    rng.spawn(2)
    record = json.loads(json.dumps(get_rng_state(rng)))
    want = [rng.integers(0, 99, 5, dtype=np.int32), rng.normal(size=7)]
    want.append(rng.spawn(1)[0].random(3))
    fresh = np.random.Generator(bit_generator(3))
    set_rng_state(fresh, record)
    got = [fresh.integers(0, 99, 5, dtype=np.int32), fresh.normal(size=7)]
    got.append(fresh.spawn(1)[0].random(3))
    for left, right in zip(got, want, strict=True):
        assert left.tolist() == right.tolist()


def test_a_generator_of_another_seed_goes_on_unless_it_spawned():
    rng = np.random.default_rng(1)
    record = get_rng_state(rng)
    other = np.random.default_rng(2)
    set_rng_state(other, record)
    assert other.random() == np.random.default_rng(1).random()
    rng.spawn(1)
    with pytest.raises(CheckpointError, match="seed of the saved one, 1, "):
        set_rng_state(np.random.default_rng(2), get_rng_state(rng))


def test_a_generator_of_another_kind_is_refused():
    record = get_rng_state(np.random.default_rng(1))
    with pytest.raises(CheckpointError, match="expected a generator over PCG64"):
        set_rng_state(np.random.Generator(np.random.MT19937(1)), record)
