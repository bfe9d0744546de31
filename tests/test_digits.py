"""Digits are what was asked for, from every kind of file, or an error says why not."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from markdown_code import ROOT
from test_examples import load

from scg.errors import MissingExtraError


@pytest.fixture
def digits(monkeypatch):
    return load("digits", monkeypatch)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    counts = {"train": 7, "test": 3}
    x = {f"x_{k}": rng.integers(0, 256, (n, 28, 28), np.uint8, endpoint=False)
         for k, n in counts.items()}  # fmt: skip
    return x | {f"y_{k}": rng.integers(0, 10, n, np.uint8) for k, n in counts.items()}


def write_idx(folder, arrays, *, zipped):
    kinds = {"x": "images-idx3-ubyte", "y": "labels-idx1-ubyte"}
    folder.mkdir()
    for name, a in arrays.items():
        kind, part = name.split("_")
        file = f"{'train' if part == 'train' else 't10k'}-{kinds[kind]}"
        header = b"\0\0\x08" + bytes([a.ndim])
        data = header + b"".join(n.to_bytes(4, "big") for n in a.shape) + a.tobytes()
        path = folder / (file + ".gz" * zipped)
        path.write_bytes(gzip.compress(data) if zipped else data)
    return path


def assert_same(found, arrays):
    for part in ("train", "test"):
        images, labels = getattr(found, part), getattr(found, f"{part}_labels")
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        np.testing.assert_allclose(images * 255, arrays[f"x_{part}"], atol=1e-4)
        np.testing.assert_array_equal(labels, arrays[f"y_{part}"])


def test_npz_and_idx_files_hold_the_same_digits(digits, arrays, tmp_path):
    np.savez(tmp_path / "all.npz", **arrays)
    one = write_idx(tmp_path / "plain", arrays, zipped=False)
    write_idx(tmp_path / "zipped", arrays, zipped=True)
    places = [tmp_path / "all.npz", one, one.parent, tmp_path / "zipped"]
    read = [digits.read(str(place)) for place in places]
    for found in read:
        assert_same(found, arrays)
    assert len({found.source for found in read}) == 1
    assert "not MNIST's" in found.source
    assert found.source.endswith("7 to train, 3 to test")
    with pytest.raises(AssertionError):
        assert_same(found, arrays | {"x_test": arrays["x_test"][:, ::-1]})


def test_mnist_is_known_by_its_pixels(digits, arrays, tmp_path, monkeypatch):
    one = write_idx(tmp_path / "plain", arrays, zipped=False)
    published = (one.parent / "train-images-idx3-ubyte").read_bytes()
    monkeypatch.setattr(digits, "MNIST_PIXELS", hashlib.sha256(published).hexdigest())
    np.savez(tmp_path / "all.npz", **arrays)
    assert digits.read(tmp_path / "all.npz").source.startswith("MNIST, pixels' sha256")
    arrays["x_train"][0, 3, 3] ^= 1
    np.savez(tmp_path / "all.npz", **arrays)
    assert "not MNIST's" in digits.read(tmp_path / "all.npz").source


def test_the_small_digits_are_those_of_scikit_learn_enlarged(digits):
    small = pytest.importorskip("sklearn.datasets").load_digits()
    found = digits.read()
    images = np.concatenate([found.train, found.test])
    labels = np.concatenate([found.train_labels, found.test_labels])
    assert images.shape == (1797, 28, 28)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_array_equal(labels, small.target)
    assert np.all(np.delete(images, np.s_[4:24], axis=1) == 0)
    # The corners of the 8×8 pixels are those of the 20×20.
    corners = images[:, 4:24:19, 4:24:19]
    old = small.images[:, ::7, ::7] / 16
    np.testing.assert_allclose(corners, old, atol=0.51 / 255)
    assert np.corrcoef(images.mean((1, 2)), small.images.mean((1, 2)))[0, 1] > 0.98
    assert "scikit-learn" in found.source


def spoil_members(arrays):
    del arrays["y_test"]


def spoil_shape(arrays):
    arrays["x_train"] = arrays["x_train"].reshape(7, 784)


def spoil_dtype(arrays):
    arrays["x_test"] = arrays["x_test"] / 255


def spoil_count(arrays):
    arrays["y_train"] = arrays["y_train"][1:]


def spoil_labels(arrays):
    arrays["y_test"][1] = 10


def spoil_all(arrays):
    arrays["x_test"], arrays["y_test"] = arrays["x_test"][:0], arrays["y_test"][:0]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(spoil_members, "y_test", id="member"),
        pytest.param(spoil_shape, r"x_train of shape \(7, 784\), uint8", id="shape"),
        pytest.param(spoil_dtype, r"x_test of shape .* float64", id="dtype"),
        pytest.param(spoil_count, r"y_train of shape \(6,\).* not 7", id="count"),
        pytest.param(spoil_labels, "y_test .* not 3 digits", id="labels"),
        pytest.param(spoil_all, r"x_test of shape \(0, 28, 28\)", id="none"),
    ],
)
def test_an_npz_of_something_else_is_an_error(digits, arrays, tmp_path, spoil, says):
    spoil(arrays)
    path = tmp_path / "all.npz"
    np.savez(path, **arrays)
    with pytest.raises(digits.DigitsError, match=says) as raised:
        digits.read(path)
    assert "--data small" in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_an_error(digits, tmp_path):
    with pytest.raises(digits.DigitsError, match=r"got none\. Give --data mnist"):
        digits.read(tmp_path / "no.npz")
    with pytest.raises(digits.DigitsError, match="begins with 'train-images'"):
        digits.read(tmp_path)


@pytest.mark.parametrize("keep", [0, 2, 20, 500], ids="{} bytes".format)
def test_files_cut_short_are_errors(digits, arrays, tmp_path, keep):
    npz = tmp_path / "all.npz"
    np.savez(npz, **arrays)
    write_idx(tmp_path / "plain", arrays, zipped=False)
    write_idx(tmp_path / "zipped", arrays, zipped=True)
    images = ("plain/train-images-idx3-ubyte", "zipped/train-images-idx3-ubyte.gz")
    for path in (npz, *(tmp_path / name for name in images)):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(digits.DigitsError, match=path.name.split("-")[0]):
            digits.read(path)


def test_an_idx_file_with_bytes_left_over_is_an_error(digits, arrays, tmp_path):
    path = write_idx(tmp_path / "plain", arrays, zipped=False)
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(digits.DigitsError, match=f"bytes in '{path.name}' that are"):
        digits.read(path)


def test_a_damaged_npz_is_an_error(digits, arrays, tmp_path):
    np.savez(tmp_path / "all.npz", **arrays)
    data = bytearray((tmp_path / "all.npz").read_bytes())
    data[2000] ^= 255  # a pixel: the archive's own checksum finds it
    (tmp_path / "all.npz").write_bytes(data)
    with pytest.raises(digits.DigitsError, match="Bad CRC"):
        digits.read(tmp_path / "all.npz")


@pytest.fixture
def server(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/mnist.npz"
        server.shutdown()
        thread.join()


def test_mnist_is_fetched_once_and_only_with_its_checksum(
    digits, arrays, server, tmp_path, monkeypatch
):
    pooch = pytest.importorskip("pooch")
    folder, address = server
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(digits, "MNIST", address)
    np.savez(folder / "mnist.npz", **arrays)
    with pytest.raises(digits.DigitsError, match=r"sha256 731c5ac.*--data small"):
        digits.read("mnist")
    right = hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    monkeypatch.setattr(digits, "MNIST_FILE", right)
    assert_same(digits.read("mnist"), arrays)
    (folder / "mnist.npz").unlink()
    assert_same(digits.read("mnist"), arrays)
    (tmp_path / "scg" / "mnist.npz").unlink()
    with pytest.raises(digits.DigitsError, match="404"):
        digits.read("mnist")


@pytest.mark.parametrize(
    ("source", "module"), [("small", "sklearn.datasets"), ("mnist", "pooch")]
)
def test_digits_say_which_extra_they_need(digits, monkeypatch, source, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[digits\]'"):
        digits.read(source)


def test_the_extra_that_digits_need_exists():
    assert "digits = [" in (ROOT / "pyproject.toml").read_text()
