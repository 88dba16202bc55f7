"""`conformance --new NAME`: the file that a prior begins with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.conformance import main
from benchmarks.laws.beginning import TEXT
from workbench import Answer, Workbench

PAGE = Path(__file__).parents[2] / "docs" / "add-a-prior.md"


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_parts) -> Workbench:
    monkeypatch.chdir(tmp_path)
    return Workbench(tmp_path, capsys)


def refused(answer: Answer, words: str) -> None:
    assert (answer.status, answer.err.count("\n")) == (2, 1), answer
    assert words in answer.err


@pytest.mark.long
def test_what_it_writes_keeps_every_law_as_the_command_that_it_prints_says(bench: Workbench):
    answer = bench.ask(main, "--new", "my-law")
    assert answer.status == 0, answer.err
    (line,) = (line for line in answer.out.splitlines() if "try its laws" in line)
    tried = bench.ask(main, *shlex.split(line.partition("benchmarks.conformance ")[2]))
    assert tried.status == 0, tried.out
    assert "my-law keeps all 23 laws that apply to it." in tried.out


@pytest.mark.long
def test_a_law_that_ends_its_process_ends_no_command(bench: Workbench):
    """One that exits with 0 would pass for one that keeps every law."""
    bench.ask(main, "--new", "mine")
    text = (
        (bench.folder / "mine.py")
        .read_text()
        .replace("def log_prob(self, z):", "def log_prob(self, z):\n        exits()")
    )
    bench.write("mine.py", f"{text}\n\ndef exits():\n    import os\n\n    os._exit(0)\n")
    answer = bench.ask(main, "--plugin", "mine.py")
    assert answer.status == 1
    assert "pass sample-form" in answer.out
    assert answer.err == "error: No verdict on what is tried: it ended the process that tried it, with exit status 0.\n"


def test_nothing_is_overwritten(bench: Workbench):
    bench.write("mine.py", "# hours of work\n")
    refused(bench.ask(main, "--new", "mine"), "mine.py is there already and stays as it is")
    assert (bench.folder / "mine.py").read_text() == "# hours of work\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vampprior", "a method of the project has this name"),
        ("../mine", "for example 'mine'"),
        ("", "it begins files' names"),
        ("-x", "--new"),
        ("n" * 90, "80 at most"),
    ],
)
def test_a_name_that_no_prior_can_have_is_told(bench: Workbench, name: str, words: str):
    refused(bench.ask(main, f"--new={name}"), words)
    assert not list(bench.folder.glob("**/*.py"))


def test_it_tries_nothing_beside(bench: Workbench):
    refused(bench.ask(main, "--new", "mine", "--prior", "gaussian"), "leave out the other flags")


def test_its_formulas_are_those_of_the_page():
    """The page's first prior, which is tested against its text, with more said of it."""
    page = re.search(r"```python\n# student.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = [line for line in TEXT.read_text(encoding="utf-8").splitlines() if not line.strip().startswith(("#", '"""'))]
    for line in filter(str.strip, page[1].splitlines()):
        same = line.replace('"student"', '"$name"').replace("class Student", "class $kind")
        assert same in code or line.strip().startswith('"""'), line
