"""The runner of the documentation's code, held against pages that are wrong."""

import pytest
from markdown_code import python_blocks, run_page


def page_of(tmp_path, *blocks):
    page = tmp_path / "page.md"
    page.write_text("\n".join(f"Text.\n\n```python\n{code}```\n" for code in blocks))
    return page


def test_blocks_are_found_with_their_line(tmp_path):
    page = page_of(tmp_path, "a = 1\n", "b = 2\n")
    assert [(block.line, block.code) for block in python_blocks(page)] == [
        (3, "a = 1\n"),
        (9, "b = 2\n"),
    ]


def test_the_blocks_of_a_page_share_a_namespace(tmp_path):
    run_page(page_of(tmp_path, "a = 1\n", ">>> a\n1\n>>> b = 2\n", "assert b == 2\n"))


def test_a_wrong_doctest_fails(tmp_path):
    with pytest.raises(AssertionError, match="Expected"):
        run_page(page_of(tmp_path, ">>> 1 + 1\n3\n"))


def test_a_wrong_promise_fails(tmp_path):
    with pytest.raises(AssertionError):
        run_page(page_of(tmp_path, "print(1 + 1)  # 3\n"))


def test_a_kept_promise_passes(tmp_path):
    run_page(page_of(tmp_path, "print(1 + 1)  # 2\nprint('a')  # a\n"))


def test_an_exception_names_the_line_of_the_page(tmp_path):
    page = page_of(tmp_path, "a = 1\nraise ValueError('here')\n")
    with pytest.raises(ValueError, match="here") as caught:
        run_page(page)
    assert caught.traceback[-1].lineno + 1 == 5
