"""Signals, while modules are imported and later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cli import status
from benchmarks.common import stopping
from workbench import write

ROOT = Path(__file__).parents[2]

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "{started}"
import benchmarks
from benchmarks.common.stopping import raised
{work}
"""


def ended(folder: Path, number: int, work: str, started: str = "priorbench") -> tuple[int, str]:
    """Status and words of a process that is sent a signal from the middle of a module's import, which would swallow
    an exception."""
    stop = f"    os.kill(os.getpid(), {int(number)})\n"
    write(folder / "stopping_here.py", f"import os\ntry:\n{stop}    import this\nexcept BaseException:\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(started=started, work=work)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_command_is_imported(number: int, tmp_path: Path):
    assert ended(tmp_path, number, "import stopping_here") == (128 + number, f"\n{stopping.EARLY}\n")
    within = "with raised('Go on.'):\n    import stopping_here"
    assert ended(tmp_path, number, within) == (128 + number, "\nGo on.\n")
    after = "with raised('Go on.'):\n    pass\nimport stopping_here"
    assert ended(tmp_path, number, after) == (128 + number, f"\n{stopping.LATE}\n")


def test_a_program_of_others_is_left_alone(tmp_path: Path):
    assert ended(tmp_path, signal.SIGTERM, "import stopping_here", "notebook.py") == (-signal.SIGTERM, "")


@pytest.fixture
def heeded() -> Iterator[None]:
    """A shell's `&` has Ctrl-C ignored by the tests themselves, and `nohup` SIGHUP."""
    before = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, usual) for number, usual in before.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_command_works(number: int, capsys: pytest.CaptureFixture[str]):
    """It raises, so that what is under way is put in order; afterwards signals do what they did before."""
    before, tidied = [signal.getsignal(one) for one in SIGNALS], []

    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            tidied.append(True)
        return 0

    assert status(work, "Go on.") == 128 + number
    assert capsys.readouterr().err == "\nGo on.\n"
    assert tidied
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_what_others_handle_stays_theirs():
    """`nohup`, and a shell's `&`."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.raised("Go on."):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
