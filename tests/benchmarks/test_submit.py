"""`submit`: a claim from finished runs, its faults, and what is said of its numbers once they are made anew."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run, submit
from benchmarks.common.errors import UsageError
from benchmarks.common.files import digest_of
from benchmarks.common.screen import Screen
from benchmarks.laws import beginning
from benchmarks.runner import apart
from benchmarks.runner.executors import EXECUTORS, serial
from benchmarks.submissions import checking, comparing, faults, form, found
from benchmarks.tables.ledger import Entry
from priors.plugins import forgotten
from priors.registry import unchanged
from workbench import TINY, Answer, Workbench, write

pytestmark = pytest.mark.long

SUITE = TINY.replace('["gaussian", "vampprior"]', '["gaussian", "mylaw", "heavy"]').replace("seeds = 1", "seeds = 3")
SUITE += '[method.heavy]\nuse = "mylaw"\nprior.mylaw.freedom = 3.0\n'

CLAIM = Path("submissions") / "mylaw"


def own(command: Callable[..., int]) -> Callable[..., int]:
    """The command in this process, which forgets the plug-in afterwards, and starts no other process."""

    def call(arguments: Any) -> int:
        with unchanged(), forgotten():
            EXECUTORS.put("local", serial)
            return command(arguments)

    return call


class Bench(Workbench):
    """A folder with a plug-in, a suite and the results of both."""

    def submit(self, *more: str, plugin: str = "mylaw.py") -> Answer:
        return self.ask(own(submit.main), *self.about("tiny.toml"), "--plugin", str(self.folder / plugin), *more)

    def check(self, *more: str, path: Path | None = None) -> Answer:
        return self.ask(
            own(submit.main), "--check", str(path or self.results / CLAIM), "--data", str(self.folder), *more
        )

    @property
    def file(self) -> Path:
        return self.results / CLAIM / "mylaw.json"

    @property
    def checked(self) -> dict[str, Any]:
        return json.loads((self.results / CLAIM / "mylaw.checked.json").read_text())

    def forge(self, edit: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads(self.file.read_text())
        edit(content)
        self.file.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite that was run with the plug-in, and its submission."""
    folder = tmp_path_factory.mktemp("finished")
    beginning.begin("mylaw", folder)
    suite, plugin = write(folder / "tiny.toml", SUITE), folder / "mylaw.py"
    given = ["--suite", str(suite), "--plugin", str(plugin), "--results", str(folder / "results")]
    assert own(run.main)([*given, "--data", str(folder)]) == 0
    assert own(submit.main)(given) == 0
    return folder


@pytest.fixture
def bench(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path, capsys, SUITE)


@pytest.fixture
def no_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds."""
    monkeypatch.setattr(checking, "examined", lambda *_: {})


@pytest.fixture
def nothing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has faults is neither examined nor made anew."""

    def never(*_: Any) -> None:
        raise AssertionError("the claim has faults")

    monkeypatch.setattr(checking, "examined", never)
    monkeypatch.setattr(checking, "remade", never)


def one_number(content: dict[str, Any], by: float = -0.01) -> None:
    """Edits the likelihood of one seed."""
    name = next(name for name in content["runs"] if name.startswith("onehot-mylaw-s1"))
    content["runs"][name]["metrics"]["nll"]["figures"][0]["value"] += by


# From end to end


def test_an_honest_claim_agrees_and_an_edited_number_differs(bench: Bench):
    assert {path.name for path in (bench.results / CLAIM).iterdir()} == {"mylaw.json", "mylaw.py", "tiny.toml"}
    answer = bench.check()
    assert answer.status == 0, answer.out + answer.err
    assert "mylaw keeps all 23 laws" in answer.out
    assert bench.checked["verdict"] == "agrees"
    assert bench.checked["laws"] == {"mylaw": {"kept": 23, "broken": []}}
    assert {row["word"] for row in bench.checked["estimates"]} == {"agrees"}
    bench.forge(one_number)
    answer = bench.check()
    assert answer.status == 1
    (row,) = (row for row in bench.checked["estimates"] if row["word"] == "differs")
    assert (row["method"], row["metric"]) == ("mylaw", "nll")
    assert row["reason"].startswith("seed 1: ")
    assert bench.checked["verdict"] == "differs"
    assert "differs: seed 1: " in answer.out


@pytest.mark.usefixtures("no_laws")
def test_a_claim_that_names_another_machine_is_not_believed(bench: Bench):
    """The other numbers come out the same to the last digit: so must this one."""

    def edit(content: dict[str, Any]) -> None:
        one_number(content)
        for environment in content["environment"]:
            environment["processor"] = "another"
        for one in content["runs"].values():
            one["weights"] = "0" * 64

    bench.forge(edit)
    assert bench.check("--method", "mylaw").status == 1
    assert [row["word"] for row in bench.checked["estimates"] if row["method"] == "mylaw"].count("differs") == 1
    assert {row["word"] for row in bench.checked["estimates"] if row["method"] == "heavy"} == {"not remade"}


@pytest.mark.usefixtures("no_laws")
def test_a_folder_of_submissions_is_checked_one_by_one(bench: Bench):
    shutil.copytree(bench.results / CLAIM, bench.results / "submissions" / "other")
    with_fault = bench.results / "submissions" / "other" / "mylaw.json"
    with_fault.write_text("{")
    answer = bench.check("--seeds", "0", path=bench.results / "submissions")
    assert answer.status == 1
    assert bench.checked["verdict"] == "agrees"
    assert {row["reason"] for row in bench.checked["estimates"]} == {
        "seed 0: the same to rounding; the others: one seed made anew shows no spread to hold others against"
    }
    assert json.loads(with_fault.with_name("mylaw.checked.json").read_text())["verdict"] == "not valid"


def test_the_projects_own_submissions_stand():
    """`tox -e submissions` makes their numbers anew. What was found of each is of the claim that is there."""
    for file in form.found_at(ROOT / "results" / "submissions"):
        claim, wrong = form.parsed(file.read_text(encoding="utf-8"), file.name)
        assert claim is not None, wrong
        assert not list(faults.of_files(claim, file))
        checked = json.loads(file.with_name(f"{file.stem}{form.CHECKED}").read_text(encoding="utf-8"))
        assert checked["claim"] == digest_of(file)
        assert checked["verdict"] in (comparing.AGREES, comparing.NOT_REMADE)


def test_the_example_is_the_law_that_the_pages_make(tmp_path: Path):
    file = beginning.begin("student", tmp_path)
    assert digest_of(ROOT / "results" / "submissions" / "example" / "example.py") == digest_of(file)


def test_a_prior_that_breaks_a_law_does_not_pass(bench: Bench):
    text = (bench.folder / "mylaw.py").read_text()
    wrong = bench.write("mylaw.py", text.replace(" - self.log_scale.sum()", ""))
    given = [*bench.about("tiny.toml"), "--plugin", str(wrong)]
    assert bench.ask(own(run.main), *given, "--method", "mylaw", "heavy").status == 0
    assert bench.submit().status == 0
    assert bench.check("--method", "mylaw", "--seeds", "0").status == 1
    assert bench.checked["verdict"] == "breaks laws"
    assert bench.checked["laws"]["mylaw"]["broken"] == ["mass"]


# What a source does to its process


def forged(bench: Bench, source: str) -> None:
    """The claim, of another source."""
    path = write(bench.results / CLAIM / "mylaw.py", source)
    bench.forge(lambda content: content["plugin"].update(sha256=digest_of(path)))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(0)\n", "it ended the process that tried it, with exit status 0."),
        ("import os\nos.kill(os.getpid(), 9)\n", "it ended the process that tried it, by SIGKILL."),
        ("import os\nos.closerange(3, 99)\nos._exit(0)\n", "it ended the process that tried it, "),
        ("import sys\nsys.exit(0)\n", "mylaw.py fails to import: SystemExit: 0."),
        ("import time\ntime.sleep(600)\n", "it came to no end within 0.5 seconds of the last line."),
        ("print('mylaw: agrees', flush=True)\n1 / 0\n", "fails to import: ZeroDivisionError: division by zero."),
    ],
)
def test_a_source_ends_and_speaks_for_itself_alone(
    bench: Bench, source: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checking, "SILENCE", 0.5 if "sleep" in source else 60.0)
    forged(bench, source)
    answer = bench.check()
    assert answer.status == 1
    assert bench.checked["verdict"] == "not valid"
    (fault,) = bench.checked["faults"]
    assert fault.endswith(words) or words in fault
    assert "agrees" not in answer.out


def test_what_is_raised_apart_is_raised_here(capsys: pytest.CaptureFixture[str]):
    def mistaken(console: Screen, ease: apart.Ease) -> None:
        console.print("a line")
        raise UsageError("a mistake")

    def silent(console: Screen, ease: apart.Ease) -> int:
        ease()
        time.sleep(0.5)
        return 7

    with pytest.raises(UsageError, match="a mistake"):
        apart.done(mistaken, Screen(), 60.0)
    assert capsys.readouterr().out == "a line\n"
    assert apart.done(silent, Screen(), 0.1) == 7
    with pytest.raises(apart.Ended, match=r"SystemExit: 3"):
        apart.done(lambda console, ease: sys.exit(3), Screen(), 60.0)


# What is wrong with a claim


def first(content: dict[str, Any]) -> dict[str, Any]:
    return next(iter(content["runs"].values()))


def drop_seed(content: dict[str, Any]) -> None:
    content["runs"] = {name: one for name, one in content["runs"].items() if one["seed"] != 2}


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "key": (lambda c: c.update(note="best of all"), "Unknown key 'note'"),
    "missing": (lambda c: c.pop("date"), "the key 'date' is missing"),
    "text": (lambda c: first(c)["metrics"]["nll"]["figures"][0].update(value="1.5"), "value = '1.5' is not valid"),
    "nan": (lambda c: first(c)["metrics"]["nll"]["figures"][0].update(value=math.nan), "mylaw.json"),
    "format": (lambda c: c.update(format=2), "format = 2 is not valid"),
    "place": (lambda c: first(c).update(settings=7), "settings = 7 is not valid: there are 2"),
    "elsewhere": (lambda c: c["plugin"].update(file="../mylaw.py"), "plugin.file = '../mylaw.py' is not valid"),
    "source": (lambda c: c["plugin"].update(sha256="0" * 64), "mylaw.py is not the file that the claim is of"),
    "name": (lambda c: c.update(name="better"), "name the file better.json"),
    "prior": (lambda c: c["plugin"].update(priors={"best": ""}), "mylaw.py registers no prior 'best'"),
    "seed": (drop_seed, "Seed 2 of mylaw on onehot is missing: a claim has all seeds of its suite"),
    "trial": (lambda c: c["settings"][0].update(trial=["training.epochs=9"]), "it is a trial (training.epochs=9)"),
    "epochs": (lambda c: c["settings"][0]["training"].update(epochs=9), "its settings are those of onehot-mylaw-s0"),
    "metric": (lambda c: first(c)["metrics"].pop("nll"), "the metric nll, which the suite asks for, is left out"),
    "more": (lambda c: first(c)["metrics"].update(best={}), "the metric best is none that the suite asks for"),
    "evaluation": (lambda c: first(c).update(evaluation="0" * 8), "the hash of its evaluation is not that"),
    "asked": (
        lambda c: c["settings"][0].update(metrics=["active_units"]),
        "metrics is ['active_units'], and the suite",
    ),
    "lines": (lambda c: c["settings"][0].update(dataset="a\nb\x1b[2J"), "Unknown data set 'a b\\x1b[2J'"),
    "images": (lambda c: c["settings"][0]["protocol"].update(images=9), "protocol.images is 9, and the suite has 20"),
    "machine": (lambda c: c["environment"][0].pop("packages"), "the key 'packages' is missing"),
    "status": (lambda c: first(c)["training"].update(status="fine"), "status = 'fine' is not valid"),
    "suite": (lambda c: c["suite"].update(name="tidy"), "its file is of 'tiny'"),
    "other's": (lambda c: c["settings"][0]["prior"].update(plugin="0" * 64), "no part of it is of mylaw.py"),
}


@pytest.mark.usefixtures("nothing_run")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(bench: Bench, fault: str):
    edit, words = FAULTS[fault]
    bench.forge(edit)
    answer = bench.check()
    assert answer.status == 1, answer.err
    assert bench.checked["verdict"] == "not valid"
    told = bench.checked["faults"]
    assert any(words in one for one in told), told
    assert all("\n" not in one and one.endswith(".") for one in told)


@pytest.mark.usefixtures("no_laws")
def test_another_suite_counts_where_its_runs_are_the_claims(bench: Bench):
    """A suite's name, title and metrics are no settings of a training."""
    other = bench.suite(SUITE.replace('metrics = ["nll"]', 'metrics = ["active_units"]'), "other")
    assert bench.check("--suite", other, "--method", "mylaw").status == 0
    assert bench.checked["suite"] == "other"
    assert {row["word"] for row in bench.checked["estimates"] if row["method"] == "mylaw"} == {"agrees"}
    other = bench.suite(SUITE.replace("epochs = 2", "epochs = 1"), "other")
    answer = bench.check("--suite", other)
    assert answer.status == 2
    assert "other has no run that the claim of 'mylaw' has" in answer.err


@pytest.mark.usefixtures("nothing_run")
def test_a_suite_with_other_settings_is_told(bench: Bench):
    path = bench.results / CLAIM / "tiny.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 3"))
    assert bench.check().status == 1
    assert "training.epochs is 2, and the suite has 3" in bench.checked["faults"][0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "training.epochs=1"), "a trial is no submission"),
        (("--preset", "quick"), "--preset quick: a trial is no submission"),
        (("--seeds", "0", "1"), "--seeds leaves out 2"),
        (("--method", "gaussian"), "of another's parts"),
        (("--name", "a/b"), "--name 'a/b' is not valid"),
        (("--workers", "2"), "--workers has a say only with --check"),
        (("--plugin", "again.py"), "2 are given"),
    ],
)
def test_what_cannot_be_claimed_is_told(bench: Bench, flags: tuple[str, ...], words: str):
    answer = bench.submit(*flags)
    assert (answer.status, answer.err.count("\n")) == (2, 1), answer
    assert words in answer.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "Name the suite"),
        (("--check", "results/submissions/mylaw/mylaw.py"), "mylaw.py is no claim"),
        (("--check", "results/submissions/mylaw/mylaw.checked.json"), "mylaw.checked.json is no claim"),
        (("--check", "nowhere"), "nowhere does not exist"),
        (("--check", ".", "--set", "training.epochs=1"), "--set has no say with --check"),
    ],
)
def test_wrong_usage_is_told(bench: Bench, flags: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(bench.folder)
    (bench.results / CLAIM / "mylaw.checked.json").write_text("{}")
    answer = bench.ask(own(submit.main), *flags)
    assert (answer.status, answer.err.count("\n")) == (2, 1), answer
    assert words in answer.err


def test_no_file_of_anothers_is_written_over(bench: Bench):
    """A claim of one's own is, as it is made anew after every change."""
    assert bench.submit().status == 0
    before = {path.name: path.read_bytes() for path in (bench.results / CLAIM).iterdir()}
    bench.forge(lambda content: content["plugin"].update(priors={"another": "Another."}))
    for flags in ((), ("--name", "better", "--out", str(bench.results / CLAIM))):
        answer = bench.submit(*flags)
        assert answer.status == 2
        assert "mylaw.json is there, another claim, and a folder has one" in answer.err
    own = bench.write("place/mylaw.py", "print('of mine')")
    answer = bench.submit("--out", str(own.parent))
    assert answer.status == 2
    assert "mylaw.py is there and of no submission: move it away" in answer.err
    assert own.read_text() == "print('of mine')"
    answer = bench.submit("--out", str(own))
    assert answer.status == 2
    assert "there is a file of that name; name a folder." in answer.err
    assert (bench.results / CLAIM / "mylaw.py").read_bytes() == before["mylaw.py"]


def test_the_command_that_checks_may_be_copied(bench: Bench):
    answer = bench.submit("--out", str(bench.folder / "a folder"))
    assert shlex.split(answer.out.split("`")[1])[-2:] == ["--check", str(bench.folder / "a folder")]


def test_a_plugin_that_changed_since_is_refused_with_the_command_that_runs_it(bench: Bench):
    text = (bench.folder / "mylaw.py").read_text()
    bench.write("mylaw.py", text.replace("freedom: float = 8.0", "freedom: float = 9.0"))
    answer = bench.submit()
    assert answer.status == 2
    assert "the plug-in has changed since" in answer.err
    words = shlex.split(answer.err.split("`")[1])
    assert words[:3] == ["python", "-m", "benchmarks.run"]
    assert bench.ask(own(run.main), *words[3:]).status == 0
    assert bench.submit().status == 0


def test_a_plugin_of_several_files_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(bench.folder))
    bench.write("beside.py", "LEVEL = 1\n")
    text = (bench.folder / "mylaw.py").read_text()
    bench.write("mylaw.py", text.replace("import math\n", "import math\n\nimport beside  # noqa\n"))
    answer = bench.submit()
    assert answer.status == 2
    assert "needs beside.py: a submission is one file" in answer.err


# Claimed beside measured

OTHER = {"processor": "another"}

Edit = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def claimed(finished: Path) -> dict[str, Entry]:
    """Of one method, with eight seeds of made-up values, from 10 to 10.7."""
    claim, _ = form.parsed((finished / "results" / CLAIM / "mylaw.json").read_text(), "")
    assert claim
    entry = next(iter(claim.entries().values()))
    return {f"run{k}": edited(replace(entry, seed=k, weights=f"{k}"), 10 + 0.1 * (3 * k % 8)) for k in range(8)}


def edited(entry: Entry, value: float, **more: Any) -> Entry:
    """With one estimate alone, of this value."""
    one = {**entry.metrics["nll"]["figures"][0], "value": value, "error": 0.2, **more}
    return replace(entry, metrics={"nll": {"figures": [one]}})


def elsewhere(known: dict[str, Entry], move: Callable[[float], float], n: int = 8) -> dict[str, Entry]:
    """The same runs on another machine, where the value of seed k is that of seed k + 3, moved."""
    found = {}
    for name, entry in list(known.items())[:n]:
        value = move(10 + 0.1 * ((entry.seed + 3) % 8) + 1e-3)
        found[name] = edited(replace(entry, weights="x", environment={**entry.environment, **OTHER}), value)
    return found


def word(claimed: dict[str, Entry], measured: dict[str, Entry], **failed: str) -> tuple[str, str]:
    (row,) = comparing.rows(claimed, measured, failed)
    return row.word, row.reason


def test_other_machines_agree_within_what_seeds_explain(claimed: dict[str, Entry]):
    assert word(claimed, elsewhere(claimed, lambda value: value)) == ("agrees", "within what other seeds explain")
    assert word(claimed, elsewhere(claimed, lambda value: value, 3))[0] == "agrees"
    assert word(claimed, elsewhere(claimed, lambda value: value + 2))[0] == "differs"


def test_one_edited_number_is_found_on_another_machine_too(claimed: dict[str, Entry]):
    """Welch's test alone, whose error the number widens, never finds it."""
    wild = claimed | {"run1": edited(claimed["run1"], -20.0)}
    measured = elsewhere(claimed, lambda value: value)
    (row,) = comparing.rows(wild, measured, {})
    assert abs(row.deviation or 0) < 1.2
    assert row.word == "differs"
    assert "measured spread" in row.reason


def test_one_seed_elsewhere_says_nothing(claimed: dict[str, Entry]):
    assert word(claimed, elsewhere(claimed, lambda value: value + 9, 1))[0] == "not remade"
    assert word(claimed, {})[0] == "not remade"


def test_seeds_that_were_not_made_anew_are_held_against_those_that_were(claimed: dict[str, Entry]):
    some = {name: claimed[name] for name in ("run0", "run1", "run2", "run3")}
    assert word(claimed, some)[0] == "agrees"
    late = claimed | {name: edited(claimed[name], 3.0 + 0.1 * k) for k, name in enumerate(list(claimed)[4:])}
    assert word(late, some)[0] == "differs"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"error": 0.1}, "error 0.1 is claimed, and 0.2 was measured"),
        ({"alarm": "unreliable"}, "alarm 'unreliable' is claimed"),
        ({"remarks": [["of few draws", 3]]}, "remarks [['of few draws', 3]] is claimed"),
        ({"unit": "bits"}, "unit bits is claimed"),
        ({"direction": "higher"}, "direction higher is claimed"),
        ({"estimator": "is-9"}, "left out of the claim"),
    ],
)
def test_all_of_an_estimate_counts(claimed: dict[str, Entry], more: dict[str, Any], words: str):
    wrong = claimed | {"run0": edited(claimed["run0"], 10.0, **more)}
    rows = comparing.rows(wrong, claimed, {})
    assert [row.word for row in rows if words in row.reason] == ["differs"]


def test_a_protocol_of_another_hash_differs(claimed: dict[str, Entry]):
    wrong = {name: replace(entry, protocol="00000000") for name, entry in claimed.items()}
    assert "protocol 00000000 is claimed" in word(wrong, claimed)[1]


@pytest.mark.usefixtures("no_laws")
def test_a_prior_that_cannot_be_built_differs(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def refuses(*_: Any, **__: Any) -> None:
        raise UsageError("mylaw cannot be built.")

    monkeypatch.setattr(checking.campaign, "prepare", refuses)
    assert bench.check().status == 1
    assert {row["reason"] for row in bench.checked["estimates"]} == {"its run fails here: mylaw cannot be built."}


def test_a_run_that_fails_here_differs(claimed: dict[str, Entry]):
    assert word(claimed, {}, run0="ValueError: x") == ("differs", "its run fails here: ValueError: x")


def test_what_a_machine_has_not_got_is_not_remade(claimed: dict[str, Entry]):
    """As FID without Inception's weights: the metric is not among the run's. One that gives nothing is another case."""
    figures = {"figures": [claimed["run0"].metrics["nll"]["figures"][0] | {"metric": "fid"}]}
    more = {name: replace(entry, metrics={**entry.metrics, "fid": figures}) for name, entry in claimed.items()}
    assert [row.word for row in comparing.rows(more, claimed, {})] == ["agrees", "not remade"]
    empty = {name: replace(entry, metrics={**entry.metrics, "fid": {}}) for name, entry in claimed.items()}
    assert [row.word for row in comparing.rows(more, empty, {})] == ["agrees", "differs"]


def test_what_later_sources_measure_need_not_be_claimed(claimed: dict[str, Entry]):
    """And what the same sources measure must be."""
    less = {name: replace(entry, metrics={}) for name, entry in claimed.items()}
    assert word(less, claimed)[0] == "differs"
    later = {name: replace(entry, by=[{"sources": "later"}]) for name, entry in claimed.items()}
    assert word(less, later)[0] == "not claimed"


# What the project says of it

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("no_laws")
def test_the_environment_of_tox_checks_every_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Its command, in a folder that has one submission where the project has its own."""
    (line,) = re.findall(r"^    submissions: priorbench submit (.*)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    words = shlex.split(re.sub(r"\{posargs:(.*)\}", r"\1", line))
    monkeypatch.chdir(bench.folder)
    answer = bench.ask(own(submit.main), *words)
    assert answer.status == 0, answer.out + answer.err
    assert bench.checked["verdict"] == "agrees"
    shutil.rmtree(bench.file.parent)
    answer = bench.ask(own(submit.main), *words)
    assert (answer.status, answer.out) == (0, "There is no submission in results/submissions.\n")


def test_its_page_names_every_word_and_verdict():
    page = (ROOT / "docs" / "submit.md").read_text(encoding="utf-8")
    for word in (*comparing.WORDS, found.NOT_VALID, found.BREAKS):
        assert f"`{word}`" in page
    for path in re.findall(r"\]\(([\w./]+)\)", page):
        assert (ROOT / "docs" / path).exists(), path
