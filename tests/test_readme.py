"""README.md: its code gives the exact answer, its commands are as promised."""

import re

from markdown_code import ROOT, python_blocks, run_page

README = ROOT / "README.md"
SET_UP = "python3 -m venv .venv && . .venv/bin/activate && pip install -e "


def commands():
    return re.findall(r"^```bash\n(.*)\n```$", README.read_text(), re.MULTILINE)


def test_the_first_example_prints_the_exact_gradient():
    (block,) = python_blocks(README)
    assert "print(" in block.code
    run_page(README)


def test_one_command_learns_pong():
    assert commands()[0].startswith(SET_UP)
    assert commands()[0].endswith("&& python examples/pong.py")


def test_one_command_runs_the_tests():
    (command,) = [line for line in commands() if "&& pytest" in line]
    assert command.startswith(SET_UP)
