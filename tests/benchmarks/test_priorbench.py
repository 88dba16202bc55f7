"""The script `priorbench`, and folders that have packages of the same names as this project's."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main
from benchmarks.common.shadow import HOME, location
from benchmarks.common.started import WRITTEN, as_started, program
from workbench import TINY, Workbench, write

PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SCRIPT = """
import sys
from benchmarks.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""What an installation writes into bin/priorbench."""

FOREIGN = "raise RuntimeError('a package of the same name')"

SHORT = ("--suite", "tiny.toml", "--results", "results", "--device", "cpu", "--workers", "2")


def python(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Python in this folder, where this project is installed."""
    environment = os.environ | {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, *map(str, arguments)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return write(tmp_path / "bin" / "priorbench", SCRIPT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a person has packages of the same names, and a suite."""
    for name in ("benchmarks", "models", "priors"):
        write(tmp_path / "here" / name / "__init__.py", FOREIGN)
    return write(tmp_path / "here" / "tiny.toml", TINY).parent


@pytest.mark.slow
def test_runs_in_two_processes_beside_packages_of_the_same_names(script: Path, folder: Path):
    ended = python(folder, script, "run", *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert (folder / "results" / "tiny.csv").is_file()


@pytest.mark.slow
def test_tunes_in_two_processes_beside_packages_of_the_same_names(script: Path, folder: Path):
    """By the other way of starting processes, with one data set and trials that both processes take part in."""
    ended = python(folder, script, "tune", *SHORT, "--method", "vampprior", "--trials", "4", "--samples", "10")
    assert ended.returncode == 0, ended.stderr
    assert "run it: priorbench run --suite" in ended.stdout


@pytest.mark.parametrize("file", ["models/__init__.py", "priors.py"])
@pytest.mark.parametrize("command", ["benchmarks.run", "benchmarks"])
def test_a_foreign_package_is_told_in_one_sentence(file: str, command: str, tmp_path: Path):
    write(tmp_path / file, FOREIGN)
    ended = python(tmp_path, "-m", command, "--help")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "which is not priorbench's" in ended.stderr
    assert "use `priorbench`" in ended.stderr


def test_a_program_that_imports_us_beside_a_foreign_package_goes_on(tmp_path: Path):
    """It is no command of ours: what to do about the error is its own decision."""
    write(tmp_path / "models.py", FOREIGN)
    code = "try:\n    import benchmarks\nexcept ImportError as error:\n    print(error)"
    ended = python(tmp_path, "-c", code)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "start Python in another folder" in ended.stdout


def test_a_folder_without_code_is_no_package(tmp_path: Path):
    """Python itself passes over it where another is to be found."""
    write(tmp_path / "models" / "weights.pt", "")
    ended = python(tmp_path, "-m", "benchmarks", "--version")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_is_not_imported_yet_is_found_without_importing_it():
    assert location("models") == HOME / "models"
    assert location("nothing_of_this_name") is None


def test_help_does_not_wait_for_torch(tmp_path: Path):
    code = "import sys; from benchmarks.__main__ import main; main(['--help']); sys.exit('torch' in sys.modules)"
    ended = python(tmp_path, "-c", code)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(f"\n  {name} " in ended.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert callable(import_module(COMMANDS[name].module).main)
    answer = Workbench(tmp_path, capsys).ask(main, name, "--help")
    assert answer.status == 0
    assert answer.out.startswith("usage: ")


@pytest.mark.parametrize(("first", "told"), [("rnu", "Did you mean 'run'?"), ("--suite", "is no command")])
def test_what_is_no_command_is_wrong_usage(first: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    answer = Workbench(tmp_path, capsys).ask(main, first)
    assert (answer.status, answer.out) == (2, "")
    assert told in answer.err


def test_no_word_at_all_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert Workbench(tmp_path, capsys).ask(main).status == 2


@pytest.mark.parametrize(
    ("started", "called"),
    [
        ("/usr/bin/priorbench", "priorbench run"),
        ("/somewhere/benchmarks/__main__.py", "python -m benchmarks run"),
        ("/somewhere/benchmarks/run.py", "python -m benchmarks.run"),
        ("/somewhere/benchmarks/plots/__main__.py", "python -m benchmarks.run"),
    ],
)
def test_a_command_calls_itself_as_it_was_started(started: str, called: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", [started])
    assert program("run") == called
    assert as_started(f"see `{WRITTEN}run --help`") == f"see `{called} --help`"


def test_an_installation_has_the_script():
    assert PROJECT["scripts"] == {"priorbench": f"{main.__module__}:{main.__name__}"}


@pytest.mark.parametrize("file", ["CITATION.cff", "CHANGELOG.md"])
def test_every_file_has_one_version(file: str):
    """A release is made by changing three places; the others read what is installed."""
    opening = {"CITATION.cff": "version: {}\n", "CHANGELOG.md": "## [{}]"}[file]
    assert opening.format(PROJECT["version"]) in (HOME / file).read_text(encoding="utf-8")
