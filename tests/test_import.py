"""`import scg` works, and stays light, without any extra."""

import subprocess
import sys

import pytest

EXTRAS = [
    "ale_py",
    "gymnasium",
    "imageio",
    "matplotlib",
    "PIL",
    "rich",
    "safetensors",
    "scipy",
    "tensorboardX",
]


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )


def test_importing_loads_no_module_of_an_extra():
    loaded = python("import sys, scg; print(*{m.split('.')[0] for m in sys.modules})")
    assert loaded.returncode == 0, loaded.stderr
    assert set(EXTRAS).isdisjoint(loaded.stdout.split())


def top_level(code):
    names = "{m.split('.')[0] for m in sys.modules}"
    loaded = python(f"{code}; import sys; print(*{names})")
    assert loaded.returncode == 0, loaded.stderr
    return set(loaded.stdout.split()) - set(sys.stdlib_module_names)


def test_importing_loads_numpy_autograd_and_networkx_and_nothing_else():
    needed = top_level("import numpy, autograd.numpy, networkx")
    assert top_level("import scg") - needed <= {"scg"}


def test_importing_works_where_no_extra_is_installed():
    # None in sys.modules makes an import of that name fail.
    hidden = python(
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS})); import scg"
    )
    assert hidden.returncode == 0, hidden.stderr


def test_a_family_that_needs_an_extra_names_it_when_it_is_made():
    made = python(
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS})); import scg\n"
        "scg.Exponential(2.0).sample(__import__('numpy').random.default_rng(0), (3,))\n"
        "for make in (scg.Gamma, scg.Poisson, scg.Dirichlet):\n"
        "    try:\n"
        "        make([1.0])\n"
        "    except scg.MissingExtraError as error:\n"
        "        print(error)"
    )
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert len(lines) == 3
    assert all("'scipy'" in line and ".[distributions]" in line for line in lines)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_importing_says_nothing(stream):
    assert getattr(python("import scg"), stream) == ""
