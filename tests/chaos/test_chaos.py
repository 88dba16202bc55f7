"""A suite that is disturbed at random moments comes to the results of one that is not, byte for byte.

    PRIORBENCH_CHAOS=40 PRIORBENCH_CHAOS_SEED=7 pytest -m slow tests/chaos

makes 40 disturbances (12 without it); the seed is printed, and decides which and when.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.run import main
from priors.registry import unchanged
from workbench import TINY, descendants, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]

ROOT = Path(__file__).parents[2]

SUITE = TINY.replace('"gaussian", "vampprior"', '"gaussian", "vampprior", "mixture", "eager"')
SUITE = SUITE.replace("seeds = 1", "seeds = 6").replace("epochs = 2", "epochs = 60")
"""24 runs, each of a second or so."""

EAGER = '''
"""A standard normal, and checkpoints ten times a second for all."""
import benchmarks.runner.train
from priors import register
from priors.gaussian import Gaussian

benchmarks.runner.train.CHECKPOINT_SECONDS = 0.1


@register("eager")
class Eager(Gaussian):
    """N(0, I)."""
'''

LONGEST = 6.0
"""Most seconds between two disturbances."""

COMMANDS = 3
"""Most commands at once."""


class Chaos:
    """Commands that carry out the suite in one folder of results, and what is done to them. Disturbances are its
    methods named in ACTS; those to which there is nothing to do it to do nothing."""

    def __init__(self, folder: Path, randomly: random.Random):
        self.folder, self.randomly = folder, randomly
        self.commands: list[subprocess.Popen[str]] = []
        self.ended: Counter[int] = Counter()
        write(folder / "tiny.toml", SUITE)
        write(folder / "eager.py", EAGER)

    @property
    def arguments(self) -> list[str]:
        """Of the command: everything as written, so that results have but one value."""
        where = ["--suite", str(self.folder / "tiny.toml"), "--results", str(self.folder / "results")]
        fixed = ["--device", "cpu", "--workers", "2", "--stack", "off", "--compile", "off"]
        return [*where, *fixed, "--plugin", str(self.folder / "eager.py")]

    def start(self) -> None:
        """One more command."""
        out = (self.folder / "said.txt").open("a")
        line = [sys.executable, "-m", "benchmarks.run", *self.arguments]
        self.commands.append(subprocess.Popen(line, cwd=ROOT, stdout=out, stderr=out, text=True))
        out.close()

    def step(self) -> str:
        """One disturbance, at a moment of its own."""
        for command in [one for one in self.commands if one.poll() is not None]:
            self.commands.remove(command)
            self.ended[command.returncode] += 1
        if not self.commands:
            self.start()
        time.sleep(self.randomly.uniform(0, LONGEST))
        act: Callable[[], None] = self.randomly.choice(
            [self.another, self.kill, self.behead, self.kill_one, self.ask_to_end, self.stop, self.fill, self.corrupt]
        )
        with suppress(ProcessLookupError, PermissionError):
            act()
        return act.__name__

    def tree(self, command: subprocess.Popen[str]) -> list[int]:
        return [command.pid, *sorted(descendants(command.pid))]

    def signal_all(self, number: signal.Signals) -> None:
        for pid in self.tree(self.randomly.choice(self.commands)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # Disturbances

    def another(self) -> None:
        """A command beside the others."""
        if len(self.commands) < COMMANDS:
            self.start()

    def kill(self) -> None:
        """A command with all that it has started."""
        self.signal_all(signal.SIGKILL)

    def behead(self) -> None:
        """A command alone."""
        self.randomly.choice(self.commands).kill()

    def kill_one(self) -> None:
        """A process of a command: a run's, or the one that forks them."""
        if below := self.tree(self.randomly.choice(self.commands))[1:]:
            os.kill(self.randomly.choice(below), signal.SIGKILL)

    def ask_to_end(self) -> None:
        """Ctrl-C, a scheduler, a terminal that is closed; once or twice."""
        number = self.randomly.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        command = self.randomly.choice(self.commands)
        for _ in range(self.randomly.choice([1, 2])):
            command.send_signal(number)

    def stop(self) -> None:
        """All of a command stands still for a while, and others do not."""
        pids = self.tree(self.randomly.choice(self.commands))
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(self.randomly.uniform(0, 3))

    def fill(self) -> None:
        """No file may grow beyond a few bytes for a while, as if the disk were full."""
        pids = self.tree(self.randomly.choice(self.commands))
        free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        for limit in ((self.randomly.choice([0, 100, 2000]), resource.RLIM_INFINITY), free):
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
            time.sleep(self.randomly.uniform(0, 2))

    def corrupt(self) -> None:
        """A file of a run is cut, changed or lost."""
        if not (files := sorted(path for path in self.folder.glob("results/runs/*/*/**/*") if path.is_file())):
            return
        path = self.randomly.choice(files)
        with suppress(OSError):
            content = bytearray(path.read_bytes())
            at = self.randomly.randrange(len(content) + 1)
            how = self.randomly.choice(["cut", "flip", "lose"])
            if how == "lose":
                path.unlink()
            elif how == "flip" and at < len(content):
                content[at] ^= 1 << self.randomly.randrange(8)
                path.write_bytes(content)
            else:
                path.write_bytes(content[:at])

    def over(self) -> None:
        """Ends all that is left."""
        for command in self.commands:
            for pid in self.tree(command):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            command.wait()


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    seed = int(os.environ.get("PRIORBENCH_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"PRIORBENCH_CHAOS_SEED={seed}")
    chaos = Chaos(tmp_path / "disturbed", random.Random(seed))
    yield chaos
    chaos.over()


def results(folder: Path) -> dict[str, bytes]:
    """What is to be the same: tables, and every run's weights and values."""
    patterns = ("tiny.csv", "tiny.runs.csv", "runs/*/*/*.safetensors", "runs/*/*/values/*")
    paths = [path for pattern in patterns for path in (folder / "results").glob(pattern)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("own_parts")
def test_disturbed_as_undisturbed(chaos: Chaos, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    count, start = int(os.environ.get("PRIORBENCH_CHAOS", "12")), time.monotonic()
    acts = Counter(chaos.step() for _ in range(count))
    chaos.over()
    said = (chaos.folder / "said.txt").read_text()
    assert "Traceback" not in said, said[-4000:]
    with pytest.MonkeyPatch.context() as patch, unchanged():
        patch.setattr("benchmarks.runner.train.CHECKPOINT_SECONDS", 20.0)  # which the plug-in changes
        finished = len(list(chaos.folder.glob("results/runs/*/*/done")))
        status = [main(chaos.arguments)]
        status += [main(chaos.arguments)] if status[0] else []
        where = ["--results", str(chaos.folder / "results"), "--plugin", str(chaos.folder / "eager.py")]
        verified = main(["verify", "--suite", str(chaos.folder / "tiny.toml"), *where])
    undisturbed = Chaos(tmp_path / "undisturbed", random.Random(0))
    with pytest.MonkeyPatch.context() as patch, unchanged():
        patch.setattr("benchmarks.runner.train.CHECKPOINT_SECONDS", 20.0)
        assert main([*undisturbed.arguments, "--executor", "serial"]) == 0
    with capfd.disabled():
        print(f"\n{count} disturbances in {time.monotonic() - start:.0f} s: {dict(acts)}; ends {dict(chaos.ended)}; ")
        print(f"{finished} of 24 runs were finished; taken up with status {status}")
    assert (status[-1], verified) == (0, 0)
    expected = results(undisturbed.folder)
    found = results(chaos.folder)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert not list(chaos.folder.glob("results/runs/*/*/lease.json"))
