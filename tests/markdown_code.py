"""The Python blocks of a Markdown page, run as its reader would run them."""

import contextlib
import doctest
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], key=str)

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    page: Path
    line: int
    code: str


def python_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, match.start(1)), match.group(1))


def run_page(page: Path) -> None:
    """Run the blocks of a page in order, in one namespace."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in python_blocks(page):
        run = _run_doctest if ">>> " in block.code else _run_script
        run(block, namespace)


def _run_doctest(block: Block, namespace: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(
        block.code, namespace, str(block.page), str(block.page), block.line
    )
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = io.StringIO()
    runner.run(test, out=report.write, clear_globs=False)
    # get_doctest copies the namespace, so what the block defined is copied back.
    namespace.update(test.globs)
    assert runner.summarize(verbose=False).failed == 0, report.getvalue()


def _run_script(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block; `print(...)  # text` promises that it prints the text."""
    printed = io.StringIO()
    # Leading newlines make a traceback show the line of the page.
    code = compile("\n" * block.line + block.code, str(block.page), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    promised = _PROMISE.findall(block.code)
    if promised:
        got = printed.getvalue().splitlines()
        assert got == promised, f"line {block.line}: printed {got}, not {promised}"
