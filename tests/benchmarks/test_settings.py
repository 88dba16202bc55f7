"""From a suite's TOML to frozen runs: layers, names, hashes, and the sentence that every mistake gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.files import digest_of
from benchmarks.common.names import slug
from benchmarks.common.seeds import seed_for
from benchmarks.config import methods, suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite, expand, merge, parse_override, read
from benchmarks.datasets import DataError
from priors import registry

ROOT = Path(__file__).parents[2]
SUITE = """
title = "A suite"
datasets = ["digits", "moons"]
methods = ["gaussian", "mixture", "small"]
seeds = 2
metrics = ["nll"]

[model]
widths = [16]
latent_dim = 3

[training]
lr = 1e-3

[prior.mixture]
components = 5
"""
SMALL = '[method.small]\nuse = "mixture"\nprior.mixture.components = 2\n'


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Suite]:
    """Reads a suite from a file: `SUITE` with texts replaced, and more text after it."""

    def write_and_read(more: str = SMALL, **replaced: str) -> Suite:
        text = SUITE
        for key, value in replaced.items():
            lines = [f"{key} = {value}" if line.split(" = ")[0] == key else line for line in text.splitlines()]
            assert lines != text.splitlines()
            text = "\n".join(lines) + "\n"
        path = tmp_path / "own.toml"
        path.write_text(text + more)
        return read(str(path))

    return write_and_read


def fails(action: Callable[[], object], *words: str, kind: type[ValueError] = UsageError) -> None:
    """The action raises `kind` with a message of one line that has all `words`."""
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def one(chosen: Suite, method: str = "mixture", dataset: str = "digits", **request: object) -> Run:
    """The only run of a request."""
    (run,) = expand(chosen, Request(datasets=(dataset,), methods=(method,), seeds=(0,), **request))
    return run


# Expansion


def test_expansion_goes_by_data_set_then_seed_then_method(make):
    runs = expand(make())
    cells = [(run.dataset, run.seed, run.method) for run in runs]
    methods = ("gaussian", "mixture", "small")
    assert cells == [(d, s, m) for d in ("digits", "moons") for s in (0, 1) for m in methods]
    assert len({run.name for run in runs}) == 12
    assert {(run.suite, run.metrics, run.trial) for run in runs} == {("own", ("nll",), ())}


def test_request_replaces_the_suites_own_lists(make):
    runs = expand(make(), Request(datasets=("onehot",), methods=("vampprior", "small"), seeds=(7, 3)))
    cells = [(run.dataset, run.seed, run.method) for run in runs]
    assert cells == [("onehot", s, m) for s in (7, 3) for m in ("vampprior", "small")]


@pytest.mark.parametrize(("seeds", "expected"), [("3", (0, 1, 2)), ("[4, 2]", (4, 2)), ("1", (0,))])
def test_seeds_are_a_count_or_a_list(make, seeds, expected):
    assert make(seeds=seeds).seeds == expected


@pytest.mark.parametrize("seeds", ["0", "[]", "true", "1.5", '"three"', "[-1]", '["one"]'])
def test_seeds_that_are_none(make, seeds):
    fails(lambda: expand(make(seeds=seeds)), "seed")


def test_negative_seed_in_a_request(make):
    fails(lambda: expand(make(), Request(seeds=(-1,))), "seed", "-1")


def test_a_method_may_be_a_prior_under_another_name(make):
    run = one(make(), "small")
    assert (run.method, run.prior.name, run.prior.settings["components"]) == ("small", "mixture", 2)
    assert one(make()).prior.settings["components"] == 5  # the other row is left as it was


def test_defaults_of_the_prior_are_filled_in(make):
    assert one(make()).prior.settings == {"components": 5, "spread": 1.0, "floor": -8.0}
    assert one(make(), "gaussian").prior.settings == {}


@pytest.mark.parametrize("name", suite.names())
def test_seeds_expanded_at_once_are_those_expanded_alone(name):
    chosen = read(name)
    together = expand(chosen, Request(seeds=(2, 0, 5)))
    alone = [run for seed in (2, 0, 5) for run in expand(chosen, Request(seeds=(seed,)))]
    assert sorted(run.name for run in together) == sorted(run.name for run in alone)
    known = {run.name: run for run in alone}
    assert all((run, run.evaluation) == (known[run.name], known[run.name].evaluation) for run in together)


def test_a_cell_is_validated_once_however_many_its_seeds(make, monkeypatch):
    calls = []
    original = suite._run
    monkeypatch.setattr(suite, "_run", lambda *arguments: calls.append(arguments) or original(*arguments))
    assert len(expand(make(), Request(seeds=tuple(range(40))))) == 240
    assert len(calls) == 6


def test_priors_are_looked_for_once_and_later_ones_are_there(monkeypatch):
    assert "gaussian" in registry.PRIORS
    monkeypatch.setattr(registry.pkgutil, "iter_modules", lambda path: pytest.fail("looked for again"))
    with registry.unchanged():
        registry.PRIORS.put("later", registry.PRIORS["gaussian"])
        assert registry.PRIORS["later"] is registry.PRIORS["gaussian"]
    assert "later" not in registry.PRIORS


# Layers


LAYERS = {
    "dataset": '[dataset.digits]\ntraining.epochs = 11\nmodel.latent_dim = 11\ntraining.schedule.type = "step"\n',
    "method": "[method.mixture]\ntraining.epochs = 12\nmodel.widths = [12]\ntraining.schedule.every = 12\n",
    "preset": "[preset.quick]\ntraining.epochs = 13\nprotocol.images = 13\n",
}


@pytest.mark.parametrize(
    ("layers", "request_of", "epochs"),
    [
        ([], {}, 100),
        (["dataset"], {}, 11),
        (["dataset", "method"], {}, 12),
        (["dataset", "method", "preset"], {"preset": "quick"}, 13),
        (["dataset", "method", "preset"], {"preset": "quick", "overrides": ("training.epochs=14",)}, 14),
        (["dataset", "method"], {"overrides": ("training.epochs=14", "training.epochs=15")}, 15),
    ],
)
def test_the_later_layer_wins(make, layers, request_of, epochs):
    chosen = make(SMALL + "".join(LAYERS[layer] for layer in layers))
    run = one(chosen, **request_of)
    assert run.training.epochs == epochs
    assert run.training.lr == 1e-3  # the section's own stays where no layer speaks of it


def test_layers_are_laid_over_each_other_table_by_table(make):
    chosen = make(SMALL + "".join(LAYERS.values()))
    run = one(chosen, preset="quick", overrides=("training.schedule.factor=0.25",))
    schedule = run.training.schedule
    assert (schedule.type, schedule.every, schedule.factor) == ("step", 12, 0.25)
    assert (run.model.latent_dim, run.model.widths, run.protocol.images) == (11, (12,), 13)
    assert run.trial == ("preset quick: training.epochs=13, protocol.images=13", "training.schedule.factor=0.25")


def test_layers_reach_their_own_rows_alone(make):
    chosen = make(SMALL + LAYERS["dataset"] + LAYERS["method"])
    assert one(chosen, "gaussian").training.epochs == 11
    assert one(chosen, dataset="moons").training.epochs == 12
    assert one(chosen, "gaussian", "moons").training.epochs == 100
    assert one(chosen, "small", "moons").training.epochs == 100  # named by its method, not by its prior


def test_merge_leaves_both_sides_as_they_were():
    below, above = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "d": {"e": 6}, "f": 7}
    assert merge(below, above) == {"a": {"b": 5, "c": 2}, "d": {"e": 6}, "f": 7}
    assert (below, above) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "d": {"e": 6}, "f": 7})


# Overrides


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.epochs=5", {"training": {"epochs": 5}}),
        ("training.lr=1e-3", {"training": {"lr": 1e-3}}),
        ("model.widths=[8, 4]", {"model": {"widths": [8, 4]}}),
        ("model.likelihood=gaussian-scalar", {"model": {"likelihood": "gaussian-scalar"}}),
        ('model.likelihood="logistic"', {"model": {"likelihood": "logistic"}}),
        ("prior.mixture.components=7", {"prior": {"mixture": {"components": 7}}}),
        ('training.schedule={type = "step", every = 3}', {"training": {"schedule": {"type": "step", "every": 3}}}),
        ("prior.own.rule=a=b", {"prior": {"own": {"rule": "a=b"}}}),
        ("prior.own.path=/tmp/x.y", {"prior": {"own": {"path": "/tmp/x.y"}}}),
        ("prior.own.flag=true", {"prior": {"own": {"flag": True}}}),
        ("prior.own.text=", {"prior": {"own": {"text": ""}}}),
    ],
)
def test_override_is_a_nested_table(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "training", "training.epochs", "=5", "epochs=5", "training=5"])
def test_override_without_a_section_or_a_value(text):
    fails(lambda: parse_override(text), f"--set {text}", "section.key=value")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainin.epochs=5", ["Unknown section 'trainin'", "'training'"]),
        ("training.epoch=5", ["Unknown key 'epoch'", "'epochs'"]),
        ("training..epochs=5", ["training", "Unknown key ''"]),
        ("training.schedule.typ=step", ["training.schedule", "Unknown key 'typ'", "'type'"]),
        ("training.schedule=step", ["schedule", "'step'"]),
        ("training.schedule.type=stp", ["schedule.type", "'stp'", "'step'"]),
        ("training.epochs=many", ["epochs", "'many'"]),
        ("training.epochs=-1", ["epochs", "-1", "greater than or equal to 0"]),
        ("training.epochs=2.5", ["epochs", "2.5"]),
        ("training.epochs=", ["epochs", "''"]),
        ("training.lr=0", ["lr", "greater than 0"]),
        ("training.lr=nan", ["lr", "nan"]),
        ("model.widths=[8, 0]", ["widths.1"]),
        ("model.widths=8", ["widths", "8"]),
        ("model.likelihood=bernouli", ["likelihood", "Unknown likelihood 'bernouli'", "Did you mean 'bernoulli'?"]),
        ("model.backbone=conf", ["backbone", "Unknown backbone 'conf'", "Did you mean 'conv'?"]),
        ("model.posterior=norml", ["posterior", "Did you mean 'normal'?"]),
        ("model.type=va", ["type", "Did you mean 'vae'?"]),
        ("protocol.samples=[]", ["samples"]),
        ("protocol.samples=[0]", ["samples.0"]),
        ("protocol.binarisation=dynamc", ["binarisation", "'dynamic'"]),
        ("prior.mixture.component=5", ["prior.mixture", "Unknown key 'component'", "Did you mean 'components'?"]),
        ("prior.mixture.components=few", ["prior.mixture", "components", "'few'"]),
        ("prior.mixture=5", ["prior.mixture"]),
        ("prior.mixtur.components=5", ["mixtur", "Did you mean 'mixture'?"]),
    ],
)
def test_wrong_override_is_told_in_one_line(make, override, words):
    fails(lambda: expand(make(), Request(overrides=(override,))), *words)


# Names that do not exist, and files that are wrong


def test_unknown_suite():
    fails(lambda: read("quickstar"), "Unknown suite 'quickstar'", "Did you mean 'quickstart'?")
    fails(lambda: read("no/such/file.toml"), "no/such/file.toml")


def test_unknown_names_in_a_request(make):
    def ask(**request: object) -> Callable[[], object]:
        return lambda: expand(make(SMALL + LAYERS["preset"]), Request(**request))

    fails(ask(methods=("mixtur",)), "Unknown method 'mixtur'", "Did you mean 'mixture'?", "small")
    fails(ask(datasets=("digts",)), "Unknown data set 'digts'", "Did you mean 'digits'?", kind=DataError)
    fails(ask(preset="quik"), "Unknown preset 'quik'", "Did you mean 'quick'?")


@pytest.mark.parametrize(
    ("replaced", "words", "kind"),
    [
        ({"methods": '["vamprior"]'}, ["Unknown method 'vamprior'", "Did you mean 'vampprior'?"], UsageError),
        ({"datasets": '["mnst"]'}, ["Unknown data set 'mnst'", "Did you mean 'mnist'?"], DataError),
        ({"metrics": '["bits_per_dims"]'}, ["Unknown metric", "Did you mean 'bits_per_dim'?"], UsageError),
        ({"methods": "[]"}, ["methods"], UsageError),
        ({"datasets": '"digits"'}, ["datasets", "'digits'"], UsageError),
        ({"lr": '"fast"'}, ["training", "lr", "'fast'"], UsageError),
        ({"components": '"few"'}, ["prior.mixture", "components", "'few'"], UsageError),
    ],
)
def test_wrong_value_in_a_suite_is_told_in_one_line(make, replaced, words, kind):
    fails(lambda: expand(make(**replaced)), *words, kind=kind)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[modl]\nlatent_dim = 2\n", ["own.toml", "Unknown key 'modl'", "Did you mean 'model'?"]),
        ("[dataset.digit]\ntraining.epochs = 1\n", ["dataset.digit"]),
        ("[dataset.digits]\ntrainin.epochs = 1\n", ["dataset.digits", "'trainin'", "Did you mean 'training'?"]),
        ("[dataset.digits]\ntraining.epoch = 1\n", ["digits", "Unknown key 'epoch'", "Did you mean 'epochs'?"]),
        ("[dataset.digits]\ntraining = 1\n", ["training"]),
        ("[dataset.digits]\nprior = 1\n", ["prior"]),
        ("[method.mixture]\nuze = 1\n", ["method.mixture", "'uze'", "Did you mean 'use'?"]),
        ('[method.mixture]\nuse = "mixtur"\n', ["Unknown prior 'mixtur'", "Did you mean 'mixture'?"]),
        ("[method.mixture]\nuse = 3\n", ["use", "3"]),
        ("[prior.mixtur]\ncomponents = 3\n", ["mixtur", "Did you mean 'mixture'?"]),
        ("[prior.gaussian]\nscale = 3\n", ["prior.gaussian", "Unknown key 'scale'"]),
        ("[published]\npapr = 'x'\n", ["published"]),
    ],
)
def test_wrong_section_in_a_suite_is_told_in_one_line(make, more, words):
    fails(lambda: expand(make(SMALL + more)), *words)


def test_wrong_section_in_a_preset_is_told_when_it_is_used(make):
    chosen = make(SMALL + "[preset.quick]\ntrainin.epochs = 1\n")
    fails(lambda: expand(chosen, Request(preset="quick")), "'trainin'", "Did you mean 'training'?")


def test_file_that_is_not_toml(tmp_path):
    path = tmp_path / "own.toml"
    for content in (b"title = ", b"\xff\xfe", b"a = 1\na = 2\n"):
        path.write_bytes(content)
        fails(lambda: read(str(path)), "own.toml is not valid TOML")


def test_missing_title(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('datasets = ["digits"]\nmethods = ["gaussian"]\n')
    fails(lambda: read(str(path)), "own.toml", "title", "missing")


def test_near_names():
    assert str(unknown("thing", "aple", ["pear", "apple"])) == (
        "Unknown thing 'aple'. Did you mean 'apple'? Available: apple, pear."
    )
    assert str(unknown("thing", "zzz", ["apple"])) == "Unknown thing 'zzz'. Available: apple."
    assert str(unknown("thing", "zzz", [])) == "Unknown thing 'zzz'. Available: none."


# Names and hashes


def test_name_tells_the_cell(make):
    run = one(make(), "small", "moons")
    assert run.name == f"moons-small-s0-{run.hash8}"
    assert len(run.hash8) == len(run.evaluation) == 8
    assert int(run.hash8, 16) >= 0
    assert slug("folder:/a b/c-1_x.y") == "folder__a_b_c-1_x.y"


@pytest.mark.parametrize(
    "request_of",
    [
        {"overrides": ("training.lr=2e-3",)},
        {"overrides": ("prior.mixture.spread=0.5",)},
        {"overrides": ("model.widths=[16, 16]",)},
        {"overrides": ("training.schedule.type=cosine",)},
        {"overrides": ("protocol.binarisation=static",)},
        {"overrides": ("protocol.size=16",)},
        {"plugins": {("prior", "mixture"): "a" * 64}},
        {"plugins": {("backbone", "mlp"): "a" * 64}},
        {"plugins": {("model type", "vae"): "a" * 64}},
    ],
)
def test_hash_depends_on_what_training_does(make, request_of):
    chosen = make()
    assert one(chosen, **request_of).hash8 != one(chosen).hash8


def test_hash_depends_on_the_cell(make):
    runs = expand(make())
    assert len({run.hash8 for run in runs}) == len(runs) == 12
    one_plugin, other = (one(make(), plugins={("prior", "mixture"): letter * 64}) for letter in "ab")
    assert one_plugin.hash8 != other.hash8
    unused = {("prior", "other"): "a" * 64, ("backbone", "mixture"): "a" * 64, ("metric", "nll"): "a" * 64}
    assert one(make(), plugins=unused).hash8 == one(make()).hash8


def test_hash_depends_on_a_plugins_regulariser():
    chosen = read("quickstart").model_copy(update={"methods": ("beta-vae-h",)})
    (plain, *_), (changed, *_) = (
        expand(chosen, Request(plugins=files)) for files in ({}, {("regulariser", "beta"): "a"})
    )
    assert plain.hash8 != changed.hash8
    assert changed.plugins == {"regulariser beta": "a"}


def test_hash_ignores_what_comes_after_training(make):
    plain = one(make())
    for after in ("protocol.samples=[3]", "protocol.images=17"):
        other = one(make(), overrides=(after,))
        assert other.trial == (after,)
        assert other.hash8 == plain.hash8
        assert other.evaluation != plain.evaluation
    more = one(make(metrics='["nll", "active_units"]'))
    assert (more.hash8, more.evaluation) == (plain.hash8, plain.evaluation)


def test_hash_takes_a_default_that_is_written_out_for_the_same(make):
    same = ("training.lr=0.001", "training.epochs=100", "prior.mixture.spread=1", "training.schedule.type=constant")
    assert one(make(), overrides=same).hash8 == one(make()).hash8


@pytest.mark.long
def test_hash_is_the_same_in_another_process(make, tmp_path):
    runs = expand(make(SMALL + LAYERS["dataset"]))
    code = (
        "import json, sys; from benchmarks.config.suite import expand, read;"
        "print(json.dumps([[run.name, run.evaluation] for run in expand(read(sys.argv[1]))]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "own.toml")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out.stdout) == [[run.name, run.evaluation] for run in runs]


def test_run_is_frozen_and_comes_back_from_json(make):
    run = one(make())
    with pytest.raises(ValueError, match="frozen"):
        run.training.epochs = 3
    again = Run.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.name == run.name


def test_digest_of_a_file_is_its_sha256(tmp_path):
    path = tmp_path / "own.py"
    path.write_bytes(b"abc")
    assert digest_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# The suites that come with the project


PRESETS = [(name, preset) for name in suite.names() for preset in (None, *read(name).preset)]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_suite_validates_with_every_preset(name, preset):
    chosen = read(name)
    runs = expand(chosen, Request(preset=preset))
    seeds = chosen.preset[preset].get("seeds", len(chosen.seeds)) if preset else len(chosen.seeds)
    assert len(runs) == len(chosen.datasets) * len(chosen.methods) * seeds
    assert len({run.name for run in runs}) == len(runs)
    assert chosen.name == name
    assert all(run.trial[0].startswith(f"preset {preset}: ") if preset else run.trial == () for run in runs)


def test_a_method_like_another_keeps_all_of_it():
    """And a preset's sections are without its seeds, which are none of a run's settings."""
    chosen = read("vaepp-table3")
    catalogued, own = suite.definition(chosen, "naive-pullback-gp")
    assert catalogued == methods.definition("naive-pullback")
    assert own == {"prior": {"pullback": {"penalty": "wgan-gp"}}}
    (run, *_) = expand(chosen, Request(methods=("naive-pullback-gp",)))
    assert (run.prior.settings["training"], run.prior.settings["penalty"]) == ("naive", "wgan-gp")
    assert "seeds" not in suite.preset_sections(read("table1"), "laptop")


# Seeds


def test_seed_is_stable():
    assert seed_for(0, "order", 1) == 4489457307835839548  # a change would move every run


def test_seeds_are_distinct():
    names = [(run, what, i) for run in range(3) for what in ("order", "noise", "likelihood") for i in range(200)]
    seeds = {seed_for(*name) for name in names}
    assert len(seeds) == len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)
