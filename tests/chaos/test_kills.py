"""Nothing is lost and nothing trained twice: kills by the dozen, several commands at once, and a disk that is full.

    PRIORBENCH_KILLS=50 PRIORBENCH_CHAOS_SEED=7 pytest -m slow -s tests/chaos/test_kills.py

The seed is printed. Every epoch and checkpoint is noted, with its process, by a plug-in.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_chaos import ROOT, results

from workbench import TINY, descendants, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]

KILLS = int(os.environ.get("PRIORBENCH_KILLS", "50"))

EPOCHS = int(os.environ.get("PRIORBENCH_CHAOS_EPOCHS", "200"))
"""Of each of the 24 runs: a few seconds."""

SUITE = TINY.replace('"gaussian", "vampprior"', '"gaussian", "vampprior", "mixture", "noted"')
SUITE = SUITE.replace("seeds = 1", "seeds = 6").replace("epochs = 2", f"epochs = {EPOCHS}")

NOTED = '''
"""A standard normal; and for all, checkpoints five times a second, and a note of every epoch and checkpoint."""
import os
from pathlib import Path

import benchmarks.runner.train as train
from priors import register
from priors.gaussian import Gaussian

train.CHECKPOINT_SECONDS = 0.2
NOTES = Path(__file__).parent / "notes"
NOTES.mkdir(exist_ok=True)


def noted(name):
    usual = getattr(train.Trainer, name)

    def noting(self, *given):
        told = usual(self, *given)
        line = f"{name} {self.progress.epoch} {os.getpid()}\\\\n"
        with (NOTES / self.record.folder.name).open("a") as file:
            file.write(line)
        return told

    setattr(train.Trainer, name, noting)


noted("epoch")
noted("checkpoint")


@register("noted")
class Noted(Gaussian):
    """N(0, I)."""
'''.replace("\\\\n", "\\n")


class Site:
    """Commands on one suite in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.commands: list[subprocess.Popen[bytes]] = []
        write(folder / "tiny.toml", SUITE)
        write(folder / "noted.py", NOTED)

    def start(self, workers: int, results: Path | None = None) -> subprocess.Popen[bytes]:
        where = ["--suite", "tiny.toml", "--results", str(results or self.folder / "results"), "--plugin", "noted.py"]
        fixed = ["--device", "cpu", "--stack", "off", "--compile", "off", "--workers", str(workers)]
        line = [sys.executable, "-m", "benchmarks.run", *where, *fixed]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / "said.txt").open("a") as out:
            command = subprocess.Popen(line, cwd=self.folder, stdout=out, stderr=out, env=environment)
        self.commands.append(command)
        return command

    def finish(self, workers: int = 2) -> None:
        """The same command until it ends well: a run that was killed too often may have failed in the one before."""
        for _ in range(3):
            if self.start(workers).wait(1800) == 0:
                return
        raise AssertionError((self.folder / "said.txt").read_text()[-3000:])

    def epochs(self) -> int:
        """Lines of all notes: they grow as long as something is trained."""
        return sum(len(path.read_bytes().splitlines()) for path in (self.folder / "notes").glob("*"))

    def kill(self, command: subprocess.Popen[bytes], randomly: random.Random) -> str:
        """All of it, it alone, or one of its processes."""
        below = sorted(descendants(command.pid))
        how = randomly.choice(["all", "alone", "one"])
        chosen = {"all": [command.pid, *below], "alone": [command.pid], "one": below and [randomly.choice(below)]}[how]
        for pid in chosen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return how

    def over(self) -> None:
        for command in self.commands:
            for pid in [command.pid, *descendants(command.pid)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            command.wait()


@pytest.fixture
def randomly() -> random.Random:
    seed = int(os.environ.get("PRIORBENCH_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"PRIORBENCH_CHAOS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    yield site
    site.over()


def trained(folder: Path) -> tuple[int, int]:
    """(times that a run was taken up, epochs that were trained anew). No process goes on with a run that another has
    taken up, which it does from the last checkpoint and not from before it."""
    taken, again = 0, 0
    for path in sorted((folder / "notes").glob("*")):
        epoch, kept, process, former = 0, 0, "", set[str]()
        for line in path.read_text().splitlines():
            what, number, pid = line.split()
            if pid != process and process:
                former.add(process)
                assert int(number) > kept, f"{path.name}: taken up before its checkpoint: {line}"
                taken, again = taken + 1, again + epoch - int(number) + 1
            assert pid not in former, f"{path.name}: {pid} goes on with what another has taken up"
            assert what == "checkpoint" or pid != process or int(number) == epoch + 1, f"{path.name}: {line}"
            process, epoch = pid, int(number)
            kept = epoch if what == "checkpoint" else kept
        assert epoch == EPOCHS, path.name
    return taken, again


def wait_until_more_is_trained(site: Site) -> None:
    before, until = site.epochs(), time.monotonic() + 120
    while site.epochs() <= before and any(one.poll() is None for one in site.commands):
        assert time.monotonic() < until, "nothing is trained"
        time.sleep(0.05)


def kill_again_and_again(site: Site, randomly: random.Random, parents: int, workers: int, kills: int) -> list[str]:
    """How each was done. Fewer where everything was done before."""
    done: list[str] = []
    while len(done) < kills and len([*site.folder.glob("results/runs/tiny/*/done")]) < 24:
        alive = [one for one in site.commands if one.poll() is None]
        alive += [site.start(workers) for _ in range(parents - len(alive))]
        wait_until_more_is_trained(site)
        time.sleep(randomly.uniform(0, 2))
        done.append(site.kill(randomly.choice(alive), randomly))
    return done


def undisturbed(tmp_path: Path) -> dict[str, bytes]:
    other = Site(tmp_path / "undisturbed")
    other.finish()
    return results(other.folder)


def test_fifty_kills(site: Site, randomly: random.Random, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    start = time.monotonic()
    done = kill_again_and_again(site, randomly, parents=1, workers=2, kills=KILLS)
    finished = len([*site.folder.glob("results/runs/tiny/*/done")])
    site.finish()
    taken, again = trained(site.folder)
    seconds = time.monotonic() - start
    with capfd.disabled():
        counts = {how: done.count(how) for how in sorted({*done})}
        print(f"\n{len(done)} kills {counts}, {finished} of 24 runs done by then; taken up {taken} times; ", end="")
        print(f"{again} of {24 * EPOCHS} epochs trained again; {seconds:.0f} s")
    assert "Traceback" not in (site.folder / "said.txt").read_text()
    assert results(site.folder) == undisturbed(tmp_path)


def test_three_commands_with_kills(site: Site, randomly: random.Random, tmp_path: Path):
    for _ in range(3):
        site.start(1)
    done = kill_again_and_again(site, randomly, parents=3, workers=1, kills=max(2, KILLS // 5))
    for command in site.commands:
        command.wait(1800)
    site.finish()
    print(f"{len(done)} kills; taken up, epochs trained again: {trained(site.folder)}")
    assert results(site.folder) == undisturbed(tmp_path)


def test_one_two_and_three_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Without kills no epoch is trained twice, whoever comes to a run. Times are told, and depend on the machine."""
    found = []
    for parents in (1, 2, 3):
        site, start = Site(tmp_path / f"{parents}"), time.monotonic()
        for command in [site.start(1) for _ in range(parents)]:
            assert command.wait(1800) == 0, (site.folder / "said.txt").read_text()
        with capfd.disabled():
            print(f"\n{parents} commands of one worker: {time.monotonic() - start:.0f} s", end="")
        assert trained(site.folder) == (0, 0)
        found.append(results(site.folder))
    assert found[0] == found[1] == found[2]


def test_a_full_disk(site: Site, tmp_path: Path):
    """A small file system: a sentence and exit status 1; and with room, the same command comes to the same bytes."""
    disk = site.folder / "results"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        assert site.start(2).wait(600) == 1
        said = (site.folder / "said.txt").read_text()
        assert "No space left on device" in said
        assert "Traceback" not in said
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        assert site.start(2).wait(1800) == 0, (site.folder / "said.txt").read_text()
        print(f"{sum(line.startswith('error:') for line in said.splitlines())} sentences; {trained(site.folder)}")
        assert results(site.folder) == undisturbed(tmp_path)
    finally:
        site.over()
        subprocess.run(["umount", disk], check=True)
