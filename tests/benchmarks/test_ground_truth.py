"""Data whose log p(x) is known: no trained model may beat it by more than its error."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.config import suite
from benchmarks.config.suite import Request
from benchmarks.run import main
from benchmarks.runner.execute import execute
from benchmarks.runner.workspace import Workspace
from covering import slow_but

pytestmark = pytest.mark.long

SHORT = ("training.epochs=30", "training.lr=1e-2", "protocol.images=200", "protocol.samples=[10, 300]")


def excess(folder: Path, method: str, overrides: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Estimator to (mean, standard error over examples) of the NLL above the exact one."""
    request = Request(methods=(method,), seeds=(0,), overrides=overrides)
    (run,) = suite.expand(suite.read("ground-truth"), request)
    workspace = Workspace(folder, folder)
    assert execute(run, workspace).status == "ok"
    figures = workspace.record(run).read("metrics.json")["metrics"]["excess_nll"]["figures"]
    rows = [f for f in figures if f["metric"] == "excess_nll"]
    assert all((f["alarm"] == "impossible") == (f["value"] < -3 * f["error"]) for f in rows)
    return {f["estimator"]: (f["value"], f["error"]) for f in rows}


@pytest.mark.parametrize("method", slow_but(["mixture"], ["gaussian", "mixture", "vampprior"]))
def test_no_model_beats_the_data(tmp_path: Path, method: str):
    """KL(data || model) >= 0; after a little training it is also small, and more draws only lower it."""
    found = excess(tmp_path, method, SHORT)
    few, (mean, error) = found["is-10"][0], found["is-300"]
    assert mean > -3 * error
    assert mean < 1.0
    assert few >= mean


def test_a_density_that_is_not_normalised_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The gate has teeth: a prior whose mass is e^2 shows as a likelihood that cannot be."""
    from priors.gaussian import Gaussian

    proper = Gaussian.log_prob
    monkeypatch.setattr(Gaussian, "log_prob", lambda self, z: proper(self, z) + 2)
    mean, error = excess(tmp_path, "gaussian", SHORT)["is-300"]
    assert mean < -3 * error


@pytest.mark.slow
def test_the_whole_suite(tmp_path: Path):
    """At K = 5000, over seeds: the excess is not below 0 beyond its error, and the exact model class comes near 0."""
    assert main(["--suite", "ground-truth", "--results", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "ground-truth.csv")
    rows = table[(table["metric"] == "excess_nll") & (table["estimator"] == "is-5000")].set_index("method")
    assert len(rows) == 3
    assert (rows["mean"] > -2 * rows["stderr"]).all()
    assert math.isclose(rows.loc["gaussian", "mean"], 0, abs_tol=0.2)
