"""The documentation: every code block runs, every link leads somewhere."""

import importlib.util
import re

import pytest
from markdown_code import PAGES, ROOT, run_page

EXTRAS = {
    "ale_py",
    "gymnasium",
    "matplotlib",
    "rich",
    "safetensors",
    "scipy",
    "tensorboardX",
}
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)(?:#([^)\s]+))?\)")

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


@every_page
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        run_page(page)
    except ImportError as error:
        missing = _missing_package(error)
        if missing not in EXTRAS:
            raise
        pytest.skip(f"needs {missing}")


@every_page
def test_links_lead_to_a_file_and_a_heading(page):
    for target, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists(), f"{page.name} links to {target!r}"
        assert not heading or heading in _headings(path), f"no {target}#{heading}"


def test_every_page_is_on_the_site():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL)
    listed = {line for tree in trees for line in tree.split() if line[0] != ":"}
    pages = (ROOT / "docs").rglob("*.*")
    found = {
        str(page.relative_to(ROOT / "docs").with_suffix(""))
        for page in pages
        if page.suffix in {".md", ".rst"} and "_build" not in page.parts
    }
    assert found - {"index"} <= listed


def _missing_package(error):
    """Name the package; the library's own error has Python's as its cause."""
    cause = error.__cause__ if error.name is None else error
    return (getattr(cause, "name", None) or "").partition(".")[0]


def _headings(path):
    """Give the anchors of a page's headings, as its host makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles
    }


@pytest.mark.parametrize(
    ("script", "name"),
    [("estimator_table", "ScoreFunction"), ("distribution_table", "Dirichlet")],
)
def test_a_table_is_that_of_the_classes(script, name):
    spec = importlib.util.spec_from_file_location(
        script, ROOT / "docs" / f"{script}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.PAGE.read_text()
    assert page.split(module.BEGIN)[1].split(module.END)[0] == module.table()
    assert f"| `{name}` |" in module.table()
