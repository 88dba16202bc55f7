"""Every method of the catalogue trains and is tabulated, on vectors, grey and colour images; refusals say why.

On digits those that have every part among them, elsewhere those of which a part sees the data themselves; the rest is
`slow`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.config import methods, suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request
from benchmarks.features import Features, Network, inception
from benchmarks.metrics import METRICS
from benchmarks.run import main
from covering import covering, slow_but
from models.registry import PARTS
from priors import registry
from priors.base import Density

SHORT = """
title = "One short run of every method"
datasets = ["digits", "onehot", "moons"]
methods = ["gaussian"]
seeds = 1
metrics = [
  "nll", "squared_error", "active_units", "prior", "skl", "leakage", "elbo_surgery", "pms", "copying", "critic",
  "normaliser",
]

[model]
backbone = "dense"
widths = [16]
latent_dim = 3
likelihood = "gaussian-fixed"

[training]
epochs = 1
batch_size = 200
lr = 1e-3

[protocol]
samples = [20]
images = 10

[prior.mixture]
components = 5
[prior.vampprior]
components = 5
[prior.implicit]
widths = [16]
turns = 2
draws = 500
[prior.pullback]
channels = [4, 8]
width = 16
proposals = 16
gan_steps = 5
mala_steps = 5
moves = 5
particles = 64
draws = 500
[prior.lars]
widths = [8]
draws = 64
final_draws = 1000
[prior.snis]
widths = [8]
proposals = 16
sets = 8
[prior.flow-matching]
widths = [8, 8]
steps = 5
[prior.lebm]
widths = [8]
langevin_steps = 5
draws = 500
moves = 5
[prior.ncp]
widths = [8]
steps = 5
draws = 500
[prior.two-stage]
widths = [16]
steps = 5
samples = 4
[prior.aggregate]
components = 20
[prior.gmm]
components = 2
[prior.indices]
width = 8
steps = 5
[prior.two-level]
widths = [8]
[prior.pgen]
widths = [16]
[regulariser.factor]
widths = [16]
[regulariser.gan]
widths = [16]
[regulariser.wgan]
widths = [16]
[regulariser.smoothing]
channels = [4, 8]
width = 16

[dataset.digits]
protocol.generated = 200
[dataset.onehot]
training.batch_size = 100
[dataset.moons]
training.batch_size = 1000
protocol.generated = 200
"""


def trains(one: methods.Method) -> bool:
    """A method with a model; a VAE, as it is where none is named, cannot be trained with a prior of samples only."""
    return one.use is not None and (bool(one.model) or issubclass(registry.PRIORS[one.use], Density))


METHODS = [name for name in methods.available() if trains(methods.definition(name))]
WITHOUT_DENSITY = {"wae-mmd", "wae-gan", "wae-wgan", "flexae", "flexae-sr", "ae-gmm", "rae-gmm", "vq-vae", "mask-aae"}

SEE_DATA = ("gaussian", "vampprior", "pullback+flow-posterior", "aggregate", "exemplar", "flexae-sr", "rae-gmm")
"""Of every kind of model one, and every prior and regulariser that sees more than codes: pseudo-inputs, a critic of
data, the training set, interpolated images. To all others vectors, grey and colour images are codes."""

pytestmark = pytest.mark.usefixtures("cheap_metrics")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of forty 3x12x12 images."""
    folder = tmp_path_factory.mktemp("colours")
    generator = torch.Generator().manual_seed(0)
    for i in range(40):
        pixels = torch.randint(0, 256, (12, 12, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{i:02}.png")
    return folder


def run_of(folder: Path, method: str, *overrides: str) -> Run:
    """One run of SHORT on digits, with settings of its own."""
    path = folder / "short.toml"
    path.write_text(SHORT, encoding="utf-8")
    (run,) = suite.expand(suite.read(str(path)), Request(("digits",), (method,), (0,), None, overrides))
    return run


def table_of(method: str, dataset: str, folder: Path, text: str = SHORT) -> pd.DataFrame:
    """The table of one run."""
    path = folder / "short.toml"
    path.write_text(text, encoding="utf-8")
    where = ["--results", str(folder), "--data", str(folder), "--executor", "serial", "--name", "table"]
    arguments = ["--suite", str(path), "--dataset", dataset, "--method", method]
    assert main([*arguments, *where]) == 0
    return cell(folder / "table.csv", method, Path(dataset).name)


def cell(path: Path, method: str, dataset: str = "digits") -> pd.DataFrame:
    """The rows of a method on a data set."""
    table = pd.read_csv(path)
    return table[(table.method == method) & (table.dataset == dataset)]


def check(table: pd.DataFrame, method: str) -> None:
    """Figures where they are defined, and '-' with the reason where not."""
    ok = table[table.status == "ok"]
    assert ok["mean"].notna().all()
    assert {"squared_error", "active_units"} <= set(ok.metric)
    nll = table[table.metric == "nll"]
    if method in WITHOUT_DENSITY:
        assert set(nll.status) == {"unsupported"}
        assert nll.note.str.contains("use").all()
    else:
        assert set(nll.status) == {"ok"}


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(covering(METHODS), METHODS))
def test_on_digits(method: str, tmp_path: Path):
    check(table_of(method, "digits", tmp_path), method)


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(SEE_DATA, METHODS))
def test_on_vectors(method: str, tmp_path: Path):
    check(table_of(method, "moons", tmp_path), method)
    check(table_of(method, "onehot", tmp_path), method)


@pytest.mark.long
@pytest.mark.parametrize("method", slow_but(SEE_DATA, METHODS))
def test_on_colour_images(method: str, tmp_path: Path, colours: Path):
    conv = SHORT.replace('backbone = "dense"\nwidths = [16]', 'backbone = "conv"\nwidths = [4, 8]')
    check(table_of(method, f"folder:{colours}", tmp_path, conv), method)


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("pgen", [], ["PGen", "samples only", "wae"]),
        ("vampprior", ["model.posterior=deterministic"], ["deterministic", "VAE"]),
        ("gaussian", ["model.posterior=deterministic"], ["no", "model.type"]),
        ("vampprior", ["model.posterior=planar"], ["normal", "not"]),
        ("implicit", ["model.posterior=deterministic"], ["use"]),
        ("dp", ["model.type=ae", "model.posterior=deterministic"], ["plain AE", "gmm"]),
        ("mixture", ["model.type=wae"], ["mmd"]),
        ("beta-tcvae", ["model.posterior=planar"], ["normal"]),
        ("gaussian", ["model.type=wae"], ["mmd"]),
    ],
)
def test_undefined_pairs_say_why_and_what_to_use(method: str, settings: list[str], words: list[str], tmp_path: Path):
    path = tmp_path / "short.toml"
    path.write_text(SHORT, encoding="utf-8")
    where = ["--results", str(tmp_path), "--executor", "serial", "--name", "table"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    assert main(["--suite", str(path), "--method", method, *where, *overrides]) == 0
    table = cell(tmp_path / "table.csv", method)
    assert set(table.status) == {"unsupported"}
    for word in words:
        assert table.note.str.contains(word, regex=False).all(), table.note.iloc[0]


def test_flexae_takes_its_turns_in_the_papers_order():
    """Autoencoder, latent critic, P-GEN, image critic, smoothing, encoder: the third and the fourth touch nothing in
    common with the two after them, so this is the order of the paper's step."""
    from benchmarks.datasets import load
    from benchmarks.runner.build import build

    (run,) = suite.expand(suite.read("smoke"), Request(datasets=("digits",), methods=("flexae-sr",), seeds=(0,)))
    model, prior = build(run, load("digits", Path()))
    players = model.players(prior)
    turns = [(player.name, player.turns) for player in players]
    assert turns == [
        ("wae", 1),
        ("latent-critic", 5),
        ("p-gen", 1),
        ("image-critic", 5),
        ("smoothing", 1),
        ("matching", 1),
    ]
    encoder = {id(p) for p in model.encoder.parameters()}
    assert {id(p) for p in players[-1].parameters} == encoder
    assert {id(p) for p in players[0].parameters} >= encoder


def test_every_row_of_the_papers_tables_is_there():
    wanted = {
        *("gaussian", "vampprior", "implicit", "naive-pullback", "pullback", "pullback+flow-posterior", "dp"),
        *("beta-vae-h", "beta-vae-b", "beta-tcvae", "factorvae", "infovae"),
        *("beta-vae-h+dp", "beta-vae-b+dp", "beta-tcvae+dp", "factorvae+dp", "infovae+dp"),
        *("flexae", "flexae-sr", "wae-mmd", "wae-gan", "two-stage", "ae-gmm", "rae-gmm", "gaussian+flow-posterior"),
    }
    assert wanted <= set(methods.catalogue())


def test_a_suites_method_is_laid_over_the_catalogues(tmp_path: Path):
    path = tmp_path / "own.toml"
    text = SHORT + '[method."wae-mmd"]\nregulariser.mmd.kernel = "rbf"\n[regulariser.mmd]\nweight = 3.0\n'
    path.write_text(text, encoding="utf-8")
    (run,) = suite.expand(suite.read(str(path)), Request(datasets=("digits",), methods=("wae-mmd",)))
    (mmd,) = run.regularisers
    assert (mmd.name, mmd.settings["kernel"], mmd.settings["weight"]) == ("mmd", "rbf", 200.0)
    assert (run.model.type, run.model.posterior, run.training.keep) == ("wae", "deterministic", "last")


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ('[method.x]\nuse = "gaussian"\nregularisers = ["bta"]\n', "Unknown regulariser 'bta'. Did you mean 'beta'"),
        ('[regulariser.beta]\nbet = 3\n[method.x]\nuse = "gaussian"\nregularisers = ["beta"]\n', "Did you mean 'beta'"),
        ('[regulariser.nope]\nbeta = 3\n[method.x]\nuse = "gaussian"\n', "Unknown regulariser 'nope'"),
        ('[method.x]\nuse = "gaussian"\nregularisers = "beta"\n', "a list of names"),
        ('[method.x]\nuse = "gaussian"\nregularisers = 3\n', "a list of names"),
        ('[method.x]\nuse = "gaussian"\nregularisers = ["beta", "beta"]\n', "names one twice"),
    ],
)
def test_mistakes_in_regularisers(addition: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "own.toml"
    path.write_text(SHORT + addition, encoding="utf-8")
    assert main(["--suite", str(path), "--method", "x", "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_loop_knows_no_method():
    """No identifier and no string of the training loop is the name or the class of a prior, model or regulariser."""
    kinds = {**registry.PRIORS, **PARTS["type"], **PARTS["regulariser"]}
    trained = {name for name, one in methods.catalogue().items() if one.use}
    names = {*kinds, *(kind.__name__ for kind in kinds.values()), *trained}
    source = (Path(__file__).parents[2] / "benchmarks" / "runner" / "train.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    words |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "warm_up" in words
    assert not words & names


@pytest.mark.long
def test_what_was_fitted_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A further metric re-evaluates the kept second stage: the same likelihood, and no second training."""
    first = table_of("two-stage", "onehot", tmp_path, SHORT.replace(', "active_units"', ""))

    def refuse(*arguments: object) -> None:
        raise AssertionError("fitted twice")

    monkeypatch.setattr("priors.two_stage.play", refuse)
    again = table_of("two-stage", "onehot", tmp_path)
    assert "active_units" in set(again.metric) - set(first.metric)
    nll, before = (table[table.metric == "nll"]["mean"].tolist() for table in (again, first))
    assert nll == before


def with_metrics(*names: str) -> str:
    """The short suite with further metrics."""
    return SHORT.replace("metrics = [", f"metrics = [{', '.join(map(repr, names))},")


@pytest.mark.long
def test_the_data_in_a_models_place(tmp_path: Path):
    """A row without a model has the figures of data, and says of the others that they are a model's."""
    path = tmp_path / "data.toml"
    path.write_text(with_metrics("pms_train_train", "pms_train_test"), encoding="utf-8")
    where = ["--results", str(tmp_path), "--executor", "serial", "--name", "table"]
    assert main(["--suite", str(path), "--method", "data", "--dataset", "digits", *where]) == 0
    table = cell(tmp_path / "table.csv", "data").set_index("metric")
    assert (table.model == "none").all()
    assert (table.loc[["pms_train_train", "pms_train_test"], "status"] == "ok").all()
    assert table.loc["nll", "status"] == "unsupported"
    assert "of a model" in table.loc["nll", "note"]


@pytest.mark.long
def test_figures_that_wait_for_inceptions_weights_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Everything else goes on, the run counts as done, and with the weights the same command computes them."""
    monkeypatch.setattr(inception, "find", lambda path: None)
    path = tmp_path / "fid.toml"
    waiting = [name for name, one in METRICS.items() if one.inception and not one.of_data]
    path.write_text(with_metrics(*waiting), encoding="utf-8")
    where = ["--results", str(tmp_path), "--executor", "serial", "--name", "table"]
    command = ["--suite", str(path), "--method", "gaussian", "--dataset", "digits", *where]
    assert main(command) == 0
    table = cell(tmp_path / "table.csv", "gaussian").set_index("metric")
    assert {"fid", "ims", "kid", "inception_score", "prd", "fid_stretched"} < set(waiting)
    assert set(table.loc[waiting, "status"]) == {"not-computed"}
    assert "--inception-weights" in table.loc["fid", "note"]
    assert table.loc["squared_error", "status"] == "ok"
    (run,) = (tmp_path / "runs" / "fid").glob("digits-gaussian-*")
    before = (run / "metrics.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (run / "metrics.json").stat().st_mtime_ns == before

    network = Network("inception-v3-compat", "0" * 8, "a stand-in", lambda x: Features(*2 * (x.flatten(1).float(),)))
    monkeypatch.setattr(inception, "find", lambda path: tmp_path / "weights")
    monkeypatch.setattr(inception, "load", lambda path, device="cpu": network)
    assert main(command) == 0
    table = cell(tmp_path / "table.csv", "gaussian")
    assert set(table[table.estimator.str.startswith("inception", na=False)].status) == {"ok"}
    fid = table[table.metric.eq("fid")].set_index("estimator")["mean"]
    name = "inception-v3-compat-200"
    assert set(fid.index) == {name, f"{name}-floor", f"{name}+stretched"}
    assert fid[f"{name}-floor"] < fid[name]
