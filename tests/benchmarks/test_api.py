"""What a program imports from the package: a suite's table, a finished run, a prior trained on a tensor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import Trained, load_run, run_suite, train
from benchmarks.api import suites
from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.datasets import DataError
from benchmarks.run import main
from benchmarks.tables import table
from benchmarks.tables.fill import Order
from priors import Density, register
from workbench import TINY, write

SMALL = {"training.epochs": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny suite and the results of its two runs, made once."""
    folder = tmp_path_factory.mktemp("api")
    write(folder / "tiny.toml", TINY)
    run_suite(folder / "tiny.toml", results=folder, executor="serial", device="cpu")
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Trained:
    return load_run(suite="tiny", method="vampprior", results=folder, device="cpu")


# The package


@pytest.mark.long
def test_importing_the_package_is_light():
    """Neither torch nor pandas is imported before something is asked for."""
    program = "import sys, benchmarks; assert not {'torch', 'pandas', 'tyro'} & {*sys.modules}; print(benchmarks.train)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no_such"):
        import_module("benchmarks").no_such  # noqa: B018


# A suite


def test_the_table_is_the_file_s(folder: Path, capsys: pytest.CaptureFixture[str]):
    """As it is written, without a word; and what is finished is not done again."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/tiny/*/weights.safetensors")}
    frame = run_suite(folder / "tiny.toml", results=folder, executor="serial", device="cpu")
    pd.testing.assert_frame_equal(frame, table.read(folder / "tiny.csv", "")[0])
    assert set(frame["status"]) == {"ok"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == 2
    assert capsys.readouterr() == ("", "")


def test_it_is_the_command_s_code(folder: Path, tmp_path: Path):
    """Same files, same names, same figures, whoever asks."""
    arguments = ["--suite", str(folder / "tiny.toml"), "--results", str(tmp_path), "--executor", "serial"]
    options = ["--device", "cpu", "--set", "training.epochs=1", "--set", "training.keep=last", "--method", "gaussian"]
    assert main([*arguments, *options]) == 0
    (written,) = [path for path in tmp_path.glob("tiny-*.csv") if not path.stem.endswith(("-cost", ".runs"))]
    before = written.read_bytes()
    run_suite(
        folder / "tiny.toml",
        methods="gaussian",
        overrides={"training": {"epochs": 1, "keep": "last"}},
        results=tmp_path,
        executor="serial",
        device="cpu",
    )
    assert written.read_bytes() == before
    assert len([*tmp_path.glob("runs/tiny/*")]) == 1


def test_retries_are_the_command_s(folder: Path, monkeypatch: pytest.MonkeyPatch):
    seen, usual = [], suites.fill

    def note(order: Order, *rest: Any) -> Any:
        seen.append(order.workspace.retries)
        return usual(order, *rest)

    monkeypatch.setattr(suites, "fill", note)
    for given in ({}, {"retries": 3}):
        run_suite(folder / "tiny.toml", results=folder, executor="serial", device="cpu", **given)
    assert seen == [1, 3]
    with pytest.raises(UsageError, match="--retries -1: it is 0 or larger"):
        run_suite(folder / "tiny.toml", results=folder, retries=-1, device="cpu")


def test_it_tells_how_far_it_is_if_asked(folder: Path, capsys: pytest.CaptureFixture[str]):
    run_suite(folder / "tiny.toml", results=folder, executor="serial", device="cpu", progress=True)
    assert "Tiny: 2 runs, 2 already done" in capsys.readouterr().out


def test_the_process_is_as_before(folder: Path, tmp_path: Path):
    """Random numbers and threads of who calls."""
    expected = torch.manual_seed(3).get_state()
    threads = torch.get_num_threads()
    run_suite(folder / "tiny.toml", methods="gaussian", results=tmp_path, executor="serial", device="cpu")
    assert torch.equal(torch.get_rng_state(), expected)
    assert torch.get_num_threads() == threads


SCRIPT = """
from benchmarks import run_suite
frame = run_suite("tiny.toml", methods=["gaussian"], results="out", device="cpu", workers=2)
print(*set(frame.loc[frame["status"] == "ok", "method"]))
"""


@pytest.mark.long
def test_a_script_needs_no_guard(folder: Path, tmp_path: Path):
    """Runs have processes of their own, which do not import the script once more."""
    write(tmp_path / "script.py", SCRIPT)
    write(tmp_path / "tiny.toml", TINY)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("gaussian\n", ""), done


class Wide(Density):
    """A normal of a given width, registered by a test and by no file."""

    def __init__(self, host: Any, *, spread: float = 2.0):
        super().__init__()
        self.spread = spread
        self.register_buffer("origin", torch.zeros(host.latent_dim))

    def law(self) -> torch.distributions.Distribution:
        return torch.distributions.Independent(torch.distributions.Normal(self.origin, self.spread), 1)

    def sample(self, n: int) -> torch.Tensor:
        return self.law().sample((n,))

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        return self.law().log_prob(z)


@pytest.mark.usefixtures("own_parts")
def test_a_prior_of_a_notebook(folder: Path, tmp_path: Path):
    """It runs where it was registered; other processes do not know it, and that is told before any starts."""
    register("wide")(Wide)
    with pytest.raises(UsageError, match="prior 'wide' is registered in this process alone"):
        run_suite(folder / "tiny.toml", methods=["wide"], results=tmp_path, device="cpu", executor="local")
    frame = run_suite(folder / "tiny.toml", methods=["wide"], results=tmp_path, device="cpu", executor="serial")
    assert set(frame.loc[frame["method"] == "wide", "status"]) == {"ok"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"methods": ["gausian"]}, "Did you mean 'gaussian'"),
    "key": ({"overrides": {"training.epoch": 3}}, "Did you mean 'epochs'"),
    "no section": ({"overrides": {"epochs": 3}}, "write section.key"),
    "value": ({"overrides": {"training.lr": None}}, "a setting is a number, a text, or a list"),
    "not finite": ({"overrides": {"training.lr": float("nan")}}, "a setting is a number"),
    "executor": ({"executor": "lokal"}, "Did you mean 'local'"),
    "seed": ({"seeds": -1}, "a seed is 0 or larger"),
    "workers": ({"workers": -1}, "workers"),
    "preset": ({"preset": "quik"}, "Did you mean 'quick'"),
}


@pytest.mark.parametrize(("given", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_of_a_suite(folder: Path, tmp_path: Path, given: dict[str, Any], sentence: str):
    with pytest.raises(UsageError, match=sentence):
        run_suite(folder / "tiny.toml", results=tmp_path, **{"device": "cpu", "executor": "serial", **given})


# A run


def test_a_run_is_as_it_was(folder: Path, loaded: Trained):
    """Model, prior, data, settings, and the very figures of the table."""
    assert loaded.settings.method == "vampprior"
    assert len(loaded.history) == loaded.settings.training.epochs == 2
    kept = table.read(folder / "tiny.csv", "")[0].query("method == 'vampprior' and metric == 'nll'")
    mine = loaded.estimates.query("metric == 'nll'").set_index("estimator")["value"]
    np.testing.assert_allclose(mine[kept["estimator"]], kept["mean"], rtol=1e-7)
    assert {"error", "unit", "direction", "note"} <= {*loaded.estimates.columns}


def test_it_encodes_decodes_and_samples(loaded: Trained):
    z = loaded.prior.sample(3)
    assert not z.requires_grad
    assert loaded.prior.log_prob(z).shape == (3,)
    assert loaded.decode(z.numpy()).shape == (3, *loaded.data.shape)
    x = loaded.data.test[:4]
    assert torch.equal(loaded.encode(x).mean, loaded.encode(x.double().numpy()).mean)
    with pytest.raises(UsageError, match="encode: x has the shape"):
        loaded.encode(torch.zeros(2, 99))
    with pytest.raises(UsageError, match="decode: z has the shape"):
        loaded.decode(torch.zeros(2, 99))


def test_by_its_folder(folder: Path, loaded: Trained):
    path = next(folder.glob("runs/tiny/*vampprior*"))
    again = load_run(path, device="cpu", data=folder)
    z = loaded.prior.sample(5)
    assert torch.equal(again.prior.log_prob(z), loaded.prior.log_prob(z))
    assert torch.equal(again.decode(z), loaded.decode(z))


NOT_THERE: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "give the folder of a run, or a suite"),
    "suite": ({"suite": "tony"}, "Did you mean 'tiny'"),
    "method": ({"suite": "tiny", "method": "vamprior"}, "Did you mean 'vampprior'"),
    "seed": ({"suite": "tiny", "seed": 7}, "Unknown seed"),
    "several": ({"suite": "tiny"}, "several such runs"),
}


@pytest.mark.parametrize(("given", "sentence"), NOT_THERE.values(), ids=NOT_THERE.keys())
def test_runs_that_are_not_there(folder: Path, given: dict[str, Any], sentence: str):
    with pytest.raises(UsageError, match=sentence):
        load_run(**given, results=folder, device="cpu")


def test_a_wrong_path_is_told_with_the_near_one(folder: Path):
    path = next(folder.glob("runs/tiny/*vampprior*"))
    with pytest.raises(UsageError, match=f"Did you mean '{path.name}'"):
        load_run(path.with_name(path.name[:-1]))
    with pytest.raises(UsageError, match="is no run"):
        load_run(folder / "elsewhere" / "run")


def test_of_several_the_suite_s_own(folder: Path, tmp_path: Path):
    """A trial beside it is not meant, and is taken where there is no other."""
    given = {"methods": "gaussian", "results": tmp_path, "executor": "serial", "device": "cpu"}
    run_suite(folder / "tiny.toml", overrides=SMALL, **given)
    assert load_run(suite="tiny", results=tmp_path, device="cpu").settings.training.epochs == 1
    run_suite(folder / "tiny.toml", **given)
    assert load_run(suite=folder / "tiny.toml", results=tmp_path, device="cpu").settings.training.epochs == 2


def test_a_run_without_weights(folder: Path, tmp_path: Path):
    write(tmp_path / "tiny.toml", TINY)
    (run,) = [one for one in suite.expand(suite.read(str(tmp_path / "tiny.toml"))) if one.method == "gaussian"]
    run_suite(tmp_path / "tiny.toml", methods="gaussian", results=tmp_path, executor="serial", device="cpu")
    (tmp_path / "runs" / "tiny" / run.name / "training.json").unlink()
    with pytest.raises(UsageError, match="is not finished"):
        load_run(suite="tiny", results=tmp_path, device="cpu")


# A tensor


@pytest.fixture
def few() -> Callable[..., Trained]:
    """Training that takes no time."""

    def few(x: Any, prior: Any = "vampprior", **given: Any) -> Trained:
        settings = {"widths": [8], "latent_dim": 2, "epochs": 2, "device": "cpu", **given}
        return train(x, prior, **settings)

    return few


def test_training_on_a_tensor(few: Callable[..., Trained]):
    """The splits are x itself, the prior has its settings, and figures are of the test part."""
    x = torch.rand(60, 1, 4, 4)
    run = few(x, components=4, metrics=["nll"])
    splits = [run.data.train, run.data.validation, run.data.test]
    assert [len(one) for one in splits] == [48, 6, 6]
    assert torch.equal(torch.cat([one[:] for one in splits]).flatten(1).sum(1).sort()[0], x.flatten(1).sum(1).sort()[0])
    assert run.settings.model.likelihood == "bernoulli"
    assert run.settings.prior.settings["components"] == 4
    assert "nll" in set(run.estimates["metric"])
    assert len(run.history) == 2
    assert run.decode(run.prior.sample(3)).shape == (3, 1, 4, 4)
    assert run.encode(x[:5]).sample().shape == (5, 2)


def test_it_is_seeded_and_leaves_the_process_alone(few: Callable[..., Trained]):
    x = torch.rand(40, 5)
    torch.manual_seed(1)
    one, state = few(x, components=3, seed=4), torch.get_rng_state()
    torch.manual_seed(2)
    two = few(x, components=3, seed=4)
    pd.testing.assert_frame_equal(one.history.drop(columns="seconds"), two.history.drop(columns="seconds"))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


KINDS: dict[str, tuple[Any, str, float]] = {
    "grey levels": (np.random.default_rng(0).integers(0, 256, (40, 6)).astype(np.uint8), "bernoulli", 1.0),
    "truth": (np.random.default_rng(0).random((40, 6)) > 0.5, "bernoulli", 1.0),
    "reals": (np.random.default_rng(0).normal(size=(40, 6)), "gaussian", 10.0),
}


@pytest.mark.parametrize(("x", "likelihood", "largest"), KINDS.values(), ids=KINDS.keys())
def test_the_likelihood_suits_the_data(few: Callable[..., Trained], x: Any, likelihood: str, largest: float):
    run = few(x, "gaussian")
    assert run.settings.model.likelihood == likelihood
    assert run.data.train[:].abs().max() <= largest


@pytest.mark.usefixtures("own_parts")
def test_a_prior_by_its_class(few: Callable[..., Trained]):
    """Unregistered ones are forgotten; a registered one has its name."""
    x = torch.rand(40, 5)
    run = few(x, Wide, spread=3.0)
    assert run.settings.prior.name == "Wide"
    assert run.prior.spread == 3.0
    with pytest.raises(UsageError, match="Unknown prior 'Wide'"):
        few(x, "Wide")
    register("wide")(Wide)
    assert few(x, Wide).settings.prior.name == "wide"


MISTAKES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "prior": (torch.rand(40, 5), {"prior": "vamp"}, "Did you mean 'vampprior'"),
    "no prior": (torch.rand(40, 5), {"prior": dict}, "is not valid: it is a subclass of priors.Prior"),
    "setting": (torch.rand(40, 5), {"component": 3}, "Did you mean 'components'"),
    "budget": (torch.rand(40, 5), {"epochs": -1}, "epochs = -1 is not valid"),
    "likelihood": (torch.randn(40, 5), {"likelihood": "bernoulli"}, r"needs x in \[0, 1\]"),
    "backbone": (torch.rand(40, 5), {"backbone": "con"}, "Did you mean 'conv'"),
    "undefined": (torch.rand(40, 5), {"model": "wae", "posterior": "deterministic"}, "train: "),
    "metric": (torch.rand(40, 5), {"metrics": "nl"}, "Did you mean 'nll'"),
    "seed": (torch.rand(40, 5), {"seed": -1}, "a seed is 0 or larger"),
    "flat": (torch.rand(40), {}, "an example a row"),
    "few": (torch.rand(3, 5), {}, "too few are left"),
    "share": (torch.rand(40, 5), {"validation": 1.5}, "larger than 0 and below 1"),
    "not finite": (torch.full((40, 5), torch.nan), {}, "no real numbers"),
    "diverges": (torch.randn(40, 5) * 1e30, {}, "diverged in epoch"),
}


@pytest.mark.parametrize(("x", "given", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_of_training(few: Callable[..., Trained], x: Any, given: dict[str, Any], sentence: str):
    with pytest.raises((UsageError, DataError), match=sentence):
        few(x, **given)
