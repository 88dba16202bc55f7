"""The papers' toy experiments in small, minutes each: that what their figures show comes out. By hand: `-m slow`."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.config import suite
from benchmarks.run import main

pytestmark = pytest.mark.slow


def table(name: str, folder: Path, methods: list[str], *overrides: str) -> pd.DataFrame:
    """Figures by method, metric and estimator, of the suite's first data set and one seed."""
    changes = [part for override in overrides for part in ("--set", override)]
    where = ["--dataset", suite.read(name).datasets[0], "--results", str(folder), "--name", "table", "--seeds", "0"]
    assert main(["--suite", name, "--method", *methods, *where, *changes]) == 0
    frame = pd.read_csv(folder / "table.csv")
    return frame[frame.status == "ok"].set_index(["method", "metric", "estimator"])["mean"]


def test_onehot_needs_more_than_a_normal_prior(tmp_path: Path):
    """IOP, Figure 2: the normal's ELBO stays below -ln 4, the others come near it; normalised, none beats it."""
    methods = ["gaussian", "vampprior", "implicit"]
    short = ("training.epochs=200", "training.warm_up=20", "model.widths=[64,64]", "prior.implicit.widths=[64,64]")
    figures = table("iop-onehot", tmp_path, methods, *short, "training.lr=1e-3", "protocol.samples=[100]")
    elbo = {
        method: figures[method, "log_likelihood", "elbo+estimate" if method == "implicit" else "elbo"]
        for method in methods
    }
    assert elbo["gaussian"] < -math.log(4) - 0.15
    assert elbo["vampprior"] > -math.log(4) - 0.05
    assert elbo["implicit"] > elbo["gaussian"] + 0.1
    assert all(value < -math.log(4) + 0.02 for value in elbo.values())


def test_decoupled_prior_closes_pockets(tmp_path: Path):
    """dpVAE, Figure 3, for the regulariser that opens the widest pockets."""
    figures = table("dpvae-moons", tmp_path, ["factorvae", "factorvae+dp"], "training.epochs=100")
    for rows in ("prior", "pockets"):
        assert figures["factorvae+dp", "off_manifold", rows] < 0.7 * figures["factorvae", "off_manifold", rows]


def test_learned_prior_comes_closer_than_a_fixed_one(tmp_path: Path):
    """FlexAE, Figure 2: distance of codes to prior above the floor, relative to the codes' own spread."""
    small = [f"{part}.widths=[128,128]" for part in ("prior.pgen", "regulariser.wgan")]
    figures = table("flexae-synthetic", tmp_path, ["wae-wgan", "flexae"], "training.epochs=25", *small)

    def gap(method: str) -> float:
        above = figures[method, "latent_w1", "ot-1000"] - figures[method, "latent_w1", "ot-1000-floor"]
        return above / figures[method, "latent_spread", "codes"]

    assert gap("flexae") < 0.7 * gap("wae-wgan")
