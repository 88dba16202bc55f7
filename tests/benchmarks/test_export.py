"""Finished runs for other tools, read back by the tools themselves where they are installed."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from benchmarks.export.__main__ import main
from benchmarks.export.trackers import AT_HOME
from benchmarks.run import main as run
from workbench import TINY, Answer, Workbench


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two runs of TINY, in two epochs each."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    arguments = ["--suite", str(folder / "tiny.toml"), "--results", str(folder / "results"), "--device", "cpu"]
    assert run([*arguments, "--executor", "serial"]) == 0
    return folder


@pytest.fixture
def bench(finished: Path, capsys: pytest.CaptureFixture[str]) -> Workbench:
    return Workbench(finished, capsys)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def ask(bench: Workbench, to: str, out: Path, *more: str) -> Answer:
    return bench.ask(main, *bench.about("tiny.toml"), "--to", to, "--out", str(out), "--device", "cpu", *more)


def test_a_folder_for_a_hub(bench: Workbench, out: Path):
    assert ask(bench, "hub", out, "--method", "vampprior").status == 0
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: pytorch\n")
    assert "# vampprior on onehot, seed 0" in card
    settings = json.loads(card.split("```json\n")[1].split("```")[0])
    assert settings["prior.settings.components"] == "4"
    table = pd.read_csv(bench.results / "tiny.csv").query("method == 'vampprior' and estimator == 'is-10'")
    assert f"| nll is-10 | {table['mean'].item():.5g} |" in card
    assert any(key.startswith("prior.") for key in load_file(out / "weights.safetensors"))


def test_a_readme_of_another_project_is_left_alone(bench: Workbench, out: Path):
    out.mkdir()
    (out / "README.md").write_text("# Mine\n")
    answer = ask(bench, "hub", out, "--method", "gaussian")
    assert answer.status == 2
    assert "README.md is there and is of no export" in answer.err
    assert [path.name for path in out.iterdir()] == ["README.md"]
    assert (out / "README.md").read_text() == "# Mine\n"


def test_what_is_not_finished_is_told(bench: Workbench, out: Path):
    answer = ask(bench, "hub", out, "--seeds", "0", "1", "--method", "gaussian")
    assert "1 runs (1 more are not finished): " in answer.out


def test_each_of_several_has_a_folder(bench: Workbench, out: Path):
    assert ask(bench, "hub", out).status == 0
    assert sorted(path.name.split("-")[1] for path in out.iterdir()) == ["gaussian", "vampprior"]


def test_tables_as_columns(bench: Workbench, out: Path):
    pytest.importorskip("pyarrow")
    assert ask(bench, "parquet", out).status == 0
    estimates, history = (pd.read_parquet(out / f"{name}.parquet") for name in ("estimates", "history"))
    table = pd.read_csv(bench.results / "tiny.csv").query("estimator == 'is-10'").set_index("method")["mean"]
    found = estimates[estimates["estimate"] == "nll is-10"].set_index("method")["value"]
    pd.testing.assert_series_equal(found.sort_index(), table.sort_index(), check_names=False, check_dtype=False)
    assert history.groupby("run")["epoch"].max().tolist() == [2, 2]


@pytest.mark.long
def test_tensorboard_reads_what_was_written(bench: Workbench, out: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # what is there is replaced
        assert ask(bench, "tensorboard", out, "--method", "gaussian").status == 0
    (folder,) = (out / "tiny").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    kept = pd.read_csv(next(bench.results.glob("runs/tiny/*gaussian*/history.csv")))
    losses = events.Scalars("training/validation")
    assert [one.step for one in losses] == kept["epoch"].tolist()
    assert [one.value for one in losses] == pytest.approx(kept["validation"].tolist(), rel=1e-6)
    assert "estimates/nll is-10" in events.Tags()["scalars"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_what_was_written(bench: Workbench, out: Path):
    mlflow = pytest.importorskip("mlflow")
    for _ in range(2):
        assert ask(bench, "mlflow", out).status == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert sorted(one.data.params["method"] for one in runs) == ["gaussian", "vampprior"]
    kept = pd.read_csv(next(bench.results.glob("runs/tiny/*gaussian*/history.csv")))
    (one,) = [one for one in runs if one.data.params["method"] == "gaussian"]
    losses = client.get_metric_history(one.info.run_id, "training/validation")
    assert [point.value for point in losses] == pytest.approx(kept["validation"].tolist())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_offline_and_once(bench: Workbench, out: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("wandb")
    for name in AT_HOME:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")  # a person's own; nothing is sent all the same
    for _ in range(2):
        assert ask(bench, "wandb", out, "--method", "gaussian").status == 0
    (folder,) = (out / "wandb").glob("offline-run-*")
    (kept,) = folder.glob("*.wandb")
    assert b"estimates/nll is-10" in kept.read_bytes()
    assert b"training/validation" in kept.read_bytes()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_trackio_reads_what_was_written(bench: Workbench, out: Path, monkeypatch: pytest.MonkeyPatch):
    """A process of its own: Trackio has one folder a process."""
    pytest.importorskip("trackio")
    command = [sys.executable, "-m", "benchmarks.export", *bench.about("tiny.toml"), "--device", "cpu"]
    monkeypatch.setenv("TRACKIO_SPACE_ID", "some/where")
    for _ in range(2):
        asked = [*command, "--to", "trackio", "--out", str(out), "--method", "gaussian"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert shlex.split(answer.stdout)[-3:] == [f"TRACKIO_DIR={out}", "trackio", "show"]
    with closing(sqlite3.connect(out / "tiny.db")) as database:
        logged = [json.loads(one) for (one,) in database.execute("select metrics from metrics")]
    kept = pd.read_csv(next(bench.results.glob("runs/tiny/*gaussian*/history.csv")))
    assert [one["training/validation"] for one in logged[:-1]] == pytest.approx(kept["validation"].tolist())
    assert "estimates/nll is-10" in logged[-1]


def test_mistakes_are_told_in_one_sentence(bench: Workbench, out: Path, monkeypatch: pytest.MonkeyPatch):
    answer = ask(bench, "tensorbord", out)
    assert answer.status == 2
    assert "Did you mean 'tensorboard'?" in answer.err
    answer = ask(bench, "hub", out, "--seeds", "7")
    assert answer.status == 2
    assert "None of the 2 runs is finished" in answer.err
    monkeypatch.setattr("benchmarks.common.extras.find_spec", lambda package: None)
    answer = ask(bench, "parquet", out)
    assert answer.status == 2
    assert 'Exporting to parquet needs the package pyarrow: `pip install "priorbench[parquet]"`' in answer.err
    assert not out.exists()
    out.write_text("of mine")
    answer = ask(bench, "hub", out / "deep")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert "there is a file of that name; name a folder" in answer.err
