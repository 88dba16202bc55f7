"""Malformed input by the thousand: each a sentence with exit status 1 or 2, or a run as it should be.

    PRIORBENCH_EXAMPLES=2000 pytest -m slow tests/benchmarks/test_malformed.py

The number is that of all four kinds together (2000 without it).
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run
from workbench import TINY, Answer, Workbench

pytest.importorskip("hypothesis", reason="needs hypothesis: pip install priorbench[test]")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EXAMPLES = int(os.environ.get("PRIORBENCH_EXAMPLES", "2000"))

SECONDS = 60
"""After which an example hangs."""

SUITE = TINY.replace("epochs = 2", "epochs = 0").replace("images = 20", "images = 10")

LINES = SUITE.strip().splitlines()

HUGE = 2**63
"""Not for what may be as long as somebody likes: epochs, samples and seeds."""

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def split(text: str) -> list[str]:
    """Words, a line of them being shorter than a list."""
    return text.split()


WORDS = st.sampled_from(["", *split("0 -1 1 2 nan inf 1e300 true [] {} gaussian moons vampprior nll .. /")])
VALUES = st.sampled_from(
    [
        "[1, 'a']",
        '["gaussian", "gaussian"]',
        *split('-1 0 1 nan inf -inf 1e300 1e-300 true [] [[]] {} "" "x" "gaussian" ["data"] "../../x" 1979-05-27'),
        *split('"folder:." "\\u0000" \' ='),
    ]
)
KEYS = st.sampled_from(
    split("title datasets methods seeds metrics widths latent_dim samples images components lr batch_size warm_up clip")
    + split("keep precision use extends name protocol type x.y a-b")
)
SECTIONS = split(
    "model training protocol prior.vampprior prior method.mine dataset.onehot preset.quick slurm published"
)
SECTIONS += split("regulariser.tc training.schedule nonsense a.b.c")
FLAGS = split("--suite --dataset --method --seeds --preset --set --name --plugin --limit --workers --threads --gpus")
FLAGS += split("--minutes-a-run --retries --compile --stack --stale --all --slurm --skip-missing --address --device")
FLAGS += split("--inception-weights --nonsense -x --")


def easy(examples: int) -> settings:
    """Of the slow kind, which is told how to be repeated where it fails."""
    checks = [*HealthCheck]
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=checks, print_blob=True)


class Bench(Workbench):
    """A folder with a suite whose two runs train for no epoch, and what lies there beside the results."""

    def __call__(self, *arguments: str, suite: str = "tiny.toml") -> Answer:
        signal.alarm(SECONDS)
        try:
            where = [*self.about(suite), "--device", "cpu", "--compile", "off"]
            return self.ask(run.main, *where, *arguments, "--executor", "serial")
        finally:
            signal.alarm(0)

    def beside(self) -> set[Path]:
        return {path for path in self.folder.rglob("*") if self.results not in (path, *path.parents)}


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    def ring(*_: Any) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    yield Bench(tmp_path / "inside", capsys, SUITE)
    signal.signal(signal.SIGALRM, before)


def fine(answer: Answer, bench: Bench, before: set[Path]) -> None:
    """A sentence, or a run; and no file but below the results."""
    assert answer.status in (0, 1, 2), answer
    assert "Traceback" not in answer.out + answer.err, answer
    if answer.status == 2:
        assert answer.err.startswith("error: "), answer
        assert answer.err.count("\n") == 1, answer
    assert bench.beside() == before
    assert [*bench.folder.parent.iterdir()] == [bench.folder]


@st.composite
def suites(draw: st.DrawFn) -> str:
    """The suite with lines lost, doubled, exchanged or made up, and a little noise now and then."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        made = f"{draw(KEYS | TEXT)} = {draw(VALUES | TEXT)}"
        key = lines[at].partition("=")[0].strip()
        numbers = [str(HUGE)] if key in ("widths", "latent_dim", "components") else []
        value = draw(VALUES | TEXT | st.sampled_from(numbers or ["1"]))
        section = f"[{draw(st.sampled_from(SECTIONS) | TEXT)}]"
        other = draw(st.sampled_from(["", lines[at] * 2, made, section, f"{section}\n{made}", f"{key} = {value}"]))
        lines[at] = other
    return "\n".join(lines)


def test_suites(bench: Bench):
    @easy(EXAMPLES * 2 // 5)
    @given(suites())
    def tried(text: str) -> None:
        bench.suite(text, "other")
        before = bench.beside()
        fine(bench(suite="other.toml"), bench, before)

    tried()


def test_suites_of_any_bytes(bench: Bench):
    @easy(EXAMPLES // 20)
    @given(st.binary(max_size=200))
    def tried(content: bytes) -> None:
        (bench.folder / "other.toml").write_bytes(content)
        before = bench.beside()
        answer = bench(suite="other.toml")
        assert answer.status == 2
        fine(answer, bench, before)

    tried()


def test_command_lines(bench: Bench):
    @easy(EXAMPLES * 3 // 10)
    @given(st.lists(st.sampled_from(FLAGS) | WORDS | TEXT | st.builds("{}={}".format, KEYS, VALUES), max_size=5))
    def tried(words: list[str]) -> None:
        before = bench.beside()
        fine(bench(*words), bench, before)

    tried()


def test_records(bench: Bench):
    """Files of finished and unfinished runs are cut, changed, exchanged, lost, made folders: the next command ends with
    the same table, and the one after it with nothing to do."""
    bench.suite(SUITE.replace("epochs = 0", "epochs = 1"))
    assert bench("--method", "gaussian").status == 0
    expected = (bench.results / "tiny.csv").read_bytes()
    whole = bench.folder.parent / "inside" / "whole"
    shutil.copytree(bench.results, whole)
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    checkpoint = str(Path(next(name for name in names if name.endswith("done"))).with_name("checkpoint"))

    @easy(EXAMPLES - EXAMPLES * 2 // 5 - EXAMPLES // 20 - EXAMPLES * 3 // 10)
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        shutil.rmtree(bench.results)
        shutil.copytree(whole, bench.results)
        for _ in range(data.draw(st.integers(1, 3))):
            name = data.draw(st.sampled_from([*names, checkpoint]))
            spoil(bench.results / name, data, bench.results / data.draw(st.sampled_from(names)))
        before = bench.beside()
        answer = bench("--method", "gaussian")
        fine(answer, bench, before)
        if answer.status == 0:
            assert (bench.results / "tiny.csv").read_bytes() == expected

    tried()


def spoil(path: Path, data: st.DataObject, other: Path) -> None:
    """One file, in one of many ways."""
    content = path.read_bytes() if path.is_file() else b""
    how = data.draw(st.sampled_from(["cut", "flip", "lose", "folder", "bytes", "other", "empty", "undone"]))
    at = data.draw(st.integers(0, len(content)))
    if how in ("lose", "folder") and path.is_dir():
        shutil.rmtree(path)
    elif how in ("lose", "folder"):
        path.unlink(missing_ok=True)
    if how == "folder":
        path.mkdir(exist_ok=True)
    elif how == "undone":
        (path.parent / "done").unlink(missing_ok=True)
    elif how != "lose" and path.parent.is_dir() and not path.is_dir():
        flipped = bytes([*content[:at], *(byte ^ 1 for byte in content[at : at + 1]), *content[at + 1 :]])
        made = {"cut": content[:at], "flip": flipped, "empty": b""}
        made["other"] = other.read_bytes() if other.is_file() else b""
        path.write_bytes(data.draw(st.binary(max_size=50)) if how == "bytes" else made[how])
