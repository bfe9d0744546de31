"""The public surface: listed, sorted, documented."""

import inspect
import re
from types import ModuleType

import pytest
from markdown_code import ROOT

import scg

API_PAGE = ROOT / "docs" / "reference" / "api.md"


def public_names():
    """Give what `scg` holds besides private names and unlisted submodules."""
    return {
        name
        for name, value in vars(scg).items()
        if not name.startswith("_")
        and (name in scg.__all__ or not isinstance(value, ModuleType))
        and name != "annotations"
    }


def test_all_is_sorted():
    assert list(scg.__all__) == sorted(scg.__all__)


def test_all_has_no_name_twice():
    assert len(scg.__all__) == len(set(scg.__all__))


def test_all_is_what_can_be_imported():
    assert set(scg.__all__) == public_names()


def test_the_reference_has_every_public_name_and_no_other():
    entries = re.findall(r"^\| `(?:scg\.)?(\w+)", API_PAGE.read_text(), re.MULTILINE)
    assert sorted(entries) == sorted(scg.__all__)


@pytest.mark.parametrize("name", scg.__all__)
def test_every_public_name_says_what_it_is(name):
    doc = inspect.getdoc(getattr(scg, name))
    assert doc, f"scg.{name} has no docstring"
    assert ">>> " in doc or isinstance(getattr(scg, name), ModuleType), (
        f"the docstring of scg.{name} has no example"
    )
