"""Parts of third parties, in a file or an installed package."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path

import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.metrics import METRICS
from benchmarks.plots.base import PLOTS
from benchmarks.runner.executors import EXECUTORS
from models.registry import PARTS
from priors.plugins import GROUPS, PluginError, PluginWarning, load_entry_points, load_plugin
from priors.registry import PRIORS, make
from priors.testing import toy_host
from workbench import write

pytestmark = pytest.mark.usefixtures("own_parts")

PLUGIN = """
import torch
from priors import Density, register

@register("laplace")
class Laplace(Density):
    \"\"\"Product of standard Laplace laws.\"\"\"

    def __init__(self, host, *, scale: float = 1.0):
        super().__init__()
        self.latent_dim, self.law = host.latent_dim, torch.distributions.Laplace(0.0, scale)

    def sample(self, n):
        return self.law.sample((n, self.latent_dim))

    def log_prob(self, z):
        return self.law.log_prob(z).sum(-1)
"""

EVERYTHING = """
import torch
from benchmarks import datasets
from benchmarks.metrics.base import metric
from benchmarks.runner.executors import EXECUTORS, serial
from benchmarks.plots.base import plot
from models.backbones import BACKBONES
from models.backbones.dense import dense
from models.base import MODELS
from models.likelihoods import LIKELIHOODS, Bernoulli
from models.posteriors import POSTERIORS, NormalPosterior
from models.regularisers import REGULARISERS
from models.regularisers.beta import Beta
from models.vae import VAE

@MODELS.register("own")
class OwnModel(VAE):
    pass

@BACKBONES.register("own")
def own_backbone(*arguments):
    return dense(*arguments)

@POSTERIORS.register("own")
class OwnPosterior(NormalPosterior):
    pass

@LIKELIHOODS.register("own")
class OwnLikelihood(Bernoulli):
    pass

@REGULARISERS.register("own")
class OwnRegulariser(Beta):
    pass

@datasets.register("own", "a data set")
def own_data(folder, options):
    raise datasets.DataError("it is nowhere")

@metric("own")
def own_metric(subject):
    "A metric."
    return []

@plot("own")
def own_plot(results):
    "A plot."
    yield

@EXECUTORS.register("own")
def own_executor(runs, place, resources):
    return serial(runs, place, resources)
"""

EVERY = (PRIORS, METRICS, DATASETS, PLOTS, EXECUTORS, *PARTS.values())


def refused(path: Path, *words: str) -> None:
    """Loading `path` raises a PluginError of one line that has the path and all `words`."""
    with pytest.raises(PluginError) as caught:
        load_plugin(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


def test_a_plugin_adds_its_prior(tmp_path: Path):
    path = write(tmp_path / "own.py", PLUGIN)
    assert load_plugin(path) == (("prior", "laplace"),)
    prior = make("laplace", toy_host(latent_dim=3), scale=2.0)
    assert prior.log_prob(torch.zeros(3)).item() == pytest.approx(-3 * math.log(4))
    assert load_plugin(str(path)) == (("prior", "laplace"),)  # a second time is no error


def test_a_plugin_adds_parts_of_any_kind(tmp_path: Path):
    path = write(tmp_path / "own.py", EVERYTHING + PLUGIN.replace('"laplace"', '"own"'))
    assert load_plugin(path) == tuple(sorted((one.kind, "own") for one in EVERY))
    assert all(one.foreign() == ["own"] for one in EVERY)
    assert {one.module_of("own") for one in EVERY} == {PRIORS["own"].__module__}


def test_parts_of_a_module_beside_it_are_the_plugins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "laplaces_law.py", PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(tmp_path / "own.py", "import laplaces_law\n")
    assert load_plugin(path) == load_plugin(path) == (("prior", "laplace"),)


def test_a_plugin_may_not_take_a_name_that_exists(tmp_path: Path):
    own = PRIORS["gaussian"]
    refused(write(tmp_path / "own.py", PLUGIN.replace('"laplace"', '"gaussian"')), "'gaussian' is registered already")
    assert PRIORS["gaussian"] is own


def test_a_second_plugin_of_the_same_file_name_may_not_replace_the_first(tmp_path: Path):
    load_plugin(write(tmp_path / "a" / "own.py", PLUGIN))
    first = PRIORS["laplace"]
    refused(write(tmp_path / "b" / "own.py", PLUGIN), "'laplace' is registered already")
    assert PRIORS["laplace"] is first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", ["ZeroDivisionError", "division by zero"]),
        ("def broken(:", ["SyntaxError"]),
        ("import no_such_module_anywhere", ["ModuleNotFoundError", "no_such_module_anywhere"]),
        ("raise ValueError('one\\ntwo')", ["ValueError", "one", "two"]),
        (EVERYTHING + PLUGIN + "1 / 0", ["ZeroDivisionError"]),
    ],
)
def test_a_plugin_that_fails_leaves_nothing_behind(tmp_path: Path, text: str, words: list[str]):
    before = [dict(one) for one in EVERY]
    path = write(tmp_path / "own.py", text)
    refused(path, "fails to import", *words)
    assert [dict(one) for one in EVERY] == before
    refused(path, "fails to import")  # nor does a second try take it for loaded


def test_what_is_no_plugin_is_told_in_a_sentence(tmp_path: Path):
    empty = write(tmp_path / "empty.py", "import torch")
    refused(empty, "registers nothing", '@register("name")', '@metric("name")', '@datasets.register("name", "summary")')
    refused(tmp_path / "missing.py", "does not exist")
    refused(tmp_path, "is a folder")
    refused(write(tmp_path / "own.txt", PLUGIN), ".py")


@pytest.mark.parametrize("group", GROUPS)
def test_entry_points_are_loaded_and_the_failing_one_is_named(group: str, monkeypatch: pytest.MonkeyPatch):
    def offer(*points: importlib.metadata.EntryPoint) -> None:
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda **given: points if given["group"] == group else ()
        )

    offer(importlib.metadata.EntryPoint("good", "priors.gaussian:Gaussian", group))
    load_entry_points()
    offer(importlib.metadata.EntryPoint("bad", "no_such_package.priors", group))
    load_entry_points(warn=False)
    with pytest.warns(PluginWarning, match=r"'bad' \(no_such_package.priors\).*No module"):
        load_entry_points()
    load_entry_points()  # and is not told again


def test_an_entry_point_that_fails_registers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "half_done.py", PLUGIN + "1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    point = importlib.metadata.EntryPoint("half", "half_done", GROUPS[0])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: (point,) if group == GROUPS[0] else ())
    with pytest.warns(PluginWarning, match="ZeroDivisionError"):
        load_entry_points()
    assert "laplace" not in PRIORS
