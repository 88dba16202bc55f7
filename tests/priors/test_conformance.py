"""The laws of the contract: a sound prior keeps all of them, and every planted fault breaks the law that it should."""

from __future__ import annotations

import ast
import importlib.metadata
import math
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro
from scipy.stats import chisquare
from torch import Tensor, nn

from benchmarks import run
from benchmarks.cli import STYLE, load_plugins
from benchmarks.common.settings import validated
from benchmarks.config import suite
from benchmarks.config.suite import Request, Suite
from benchmarks.conformance import main
from benchmarks.laws.examination import line
from benchmarks.laws.training import LAWS_OF_PRIORS, training, validation
from benchmarks.metrics import METRICS
from priors import registry
from priors.base import Batch, Codes, Density, Diagnostic, Host, Player, Prior, Unsupported
from priors.conformance import LAWS, Law, Trial, Verdict, examine, judge, use
from priors.conformance.agreement import chi_squared, regions
from priors.conformance.training import originals
from priors.conformance.trial import grid
from priors.parts.normal import DiagonalNormal
from priors.plugins import GROUPS, load_entry_points, load_plugin
from priors.pullback import Pullback
from priors.space import Float

pytestmark = pytest.mark.usefixtures("own_parts")

ROOT = Path(__file__).parents[2]
QUICK = (*LAWS, validation)
"""All laws but the one that trains."""


class Sound(Density):
    """A diagonal normal: the mean descends the model's loss, the scale has a player, and `fit` moves it once."""

    space = {"spread": Float(0.1, 1.0)}
    reparameterised = True

    def __init__(self, host: Host, *, spread: float = 0.5):
        super().__init__()
        self.mean = nn.Parameter(spread * torch.randn(host.latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(host.latent_dim))
        self.register_buffer("offset", torch.zeros(host.latent_dim))
        self.register_buffer("fitted", torch.tensor(False))
        self.encode = host.encode

    def law(self) -> DiagonalNormal:
        return DiagonalNormal(self.mean + self.offset, 2 * self.log_scale)

    def rsample(self, n: int) -> Tensor:
        return self.law().rsample((n,))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.rsample(n)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.law().log_prob(z)

    def players(self) -> tuple[Player, ...]:
        return (Player("scale", (self.log_scale,), self.loss),)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            z = self.encode(batch.x).sample()
        loss = -self.log_prob(z).mean()
        return loss, {"cross_entropy": loss.detach()}

    def fit(self, codes: Codes) -> None:
        if not self.fitted:
            self.offset.copy_(codes.posterior.mean.mean(0))
            self.fitted.fill_(True)

    def conventions(self) -> dict[str, float]:
        return {"halved": math.log(2)}

    def report(self) -> tuple[Diagnostic, ...]:
        return (Diagnostic("scale", self.log_scale.exp().mean().item()),)


def unlike_sound(**changes: Any) -> type[Prior]:
    """A subclass of Sound with other members."""
    return type("Faulty", (Sound,), {"__doc__": "Sound but for one fault.", **changes})


def built(change: Any) -> Any:
    """A constructor that does Sound's work and then `change(self, host)`."""

    def __init__(self: Sound, host: Host, *, spread: float = 0.5) -> None:
        Sound.__init__(self, host, spread=spread)
        change(self, host)

    return __init__


def no_default(self: Sound, host: Host, *, spread: float) -> None:
    Sound.__init__(self, host, spread=spread)


def no_annotation(self: Sound, host: Host, *, spread=0.5) -> None:
    Sound.__init__(self, host, spread=spread)


def wild(self: Sound, host: Host, **rest: float) -> None:
    Sound.__init__(self, host, **rest)


def misannotated(self: Sound, host: Host, *, spread: int = 0.5) -> None:
    Sound.__init__(self, host, spread=spread)


def unknown_kind(self: Sound, host: Host, *, spread: float = 0.5, device: torch.device | None = None) -> None:
    Sound.__init__(self, host, spread=spread)


def own_generator(self: Sound, n: int) -> Tensor:
    noise = torch.randn(n, len(self.mean), generator=torch.Generator().manual_seed(torch.seed() % 2**31))
    return (self.mean + self.offset + self.log_scale.exp() * noise.to(self.mean)).detach()


def own_seed(self: Sound, n: int) -> Tensor:
    torch.manual_seed(3)
    return Sound.sample(self, n)


def shrunk(self: Sound, n: int) -> Tensor:
    law = self.law()
    return (law.mean + 0.96 * (Sound.sample(self, n) - law.mean)).detach()


def folded(self: Sound, n: int) -> Tensor:
    mean = self.law().mean.detach()
    return mean + (Sound.sample(self, n) - mean).abs()


def half_a_gradient(self: Sound, n: int) -> Tensor:
    return self.mean + self.offset + self.log_scale.detach().exp() * torch.randn_like(self.mean.expand(n, -1))


def against_the_batch(self: Sound, z: Tensor) -> Tensor:
    value = Sound.log_prob(self, z)
    return value - 1e-3 * z.norm() * (z.dim() > 1)


def underflowing(self: Sound, z: Tensor) -> Tensor:
    return Sound.log_prob(self, z).exp().log()


def half_attached(self: Sound, z: Tensor) -> Tensor:
    law = self.law()
    standardised = (z - law.mean) / law.stddev
    return -0.5 * (standardised * standardised.detach()).sum(-1) - self.log_scale.sum() - math.log(2 * math.pi)


def without_determinant(self: Sound, z: Tensor) -> Tensor:
    return Sound.log_prob(self, z) + self.log_scale.sum()


def cancelling(self: Sound, z: Tensor) -> Tensor:
    return Sound.log_prob(self, (z + 1e5) - 1e5)


def frozen_too_early(self: Sound, host: Host) -> None:
    law = DiagonalNormal(self.mean.detach().clone(), 2 * self.log_scale.detach().clone())
    self.frozen = lambda: lambda z: law.log_prob(z.double())


def closed_form(self: Sound, batch: Batch, q: DiagonalNormal, z: Tensor) -> Tensor:
    return torch.distributions.kl_divergence(
        *(torch.distributions.Independent(torch.distributions.Normal(p.mean, p.stddev), 1) for p in (q, self.law()))
    )


def only_vectors(self: Sound, batch: Batch, q: DiagonalNormal, z: Tensor) -> Tensor:
    if batch.x.dim() != 2:
        raise ValueError("x is no vector")
    return Density.divergence(self, batch, q, z)


def all_at_once(self: Sound, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    return -self.log_prob(self.encode(batch.x).sample()), {}


def ascending(self: Sound, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    loss, parts = Sound.loss(self, batch)
    return 2 * loss.detach() - loss, parts


def stepping(self: Sound, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.no_grad():
        self.mean -= 0.01
    return Sound.loss(self, batch)


def backward_itself(self: Sound, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    self.log_prob(self.encode(batch.x).sample()).mean().backward()
    return Sound.loss(self, batch)


def attached_parts(self: Sound, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    loss, _ = Sound.loss(self, batch)
    return loss, {"cross_entropy": loss}


def takes_the_encoder(self: Sound) -> tuple[Player, ...]:
    return (Player("scale", (self.log_scale, *self.encode.__self__.encoder.parameters()), self.loss),)


def takes_all_twice(self: Sound) -> tuple[Player, ...]:
    parameters = (self.mean, self.log_scale)
    return (Player("all", parameters, self.loss), Player("scale", (self.log_scale,), self.loss))


def fit_more(self: Sound, codes: Codes) -> None:
    self.offset += codes.posterior.mean.mean(0)


def fit_beside_the_state(self: Sound, codes: Codes) -> None:
    if not self.fitted:
        self.unsaved = codes.posterior.mean.mean(0)
        self.fitted.fill_(True)


def moved_law(self: Sound) -> DiagonalNormal:
    return DiagonalNormal(self.mean + getattr(self, "unsaved", 0.0), 2 * self.log_scale)


def fit_crashes(self: Sound, codes: Codes) -> None:
    raise RuntimeError("no codes")


def adopt(self: Sound, host: Host) -> None:
    self.network = host.encode.__self__


def infinite(self: Sound, host: Host) -> None:
    self.register_buffer("edge", torch.tensor(torch.inf))


def unused(self: Sound, host: Host) -> None:
    self.spare = nn.Parameter(torch.zeros(2))


def random_constant(self: Sound, host: Host) -> None:
    self.constant = torch.randn(()).item()


def shifted_law(self: Sound) -> DiagonalNormal:
    return DiagonalNormal(self.mean + self.offset + self.constant, 2 * self.log_scale)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no docstring": ({"__doc__": None}, "summary"),
    "a setting without a default": ({"__init__": no_default}, "settings"),
    "a setting without an annotation": ({"__init__": no_annotation}, "settings"),
    "any keyword is taken": ({"__init__": wild, "space": {}}, "settings"),
    "a default of another type": ({"__init__": misannotated}, "validation"),
    "an annotation that no suite can fill": ({"__init__": unknown_kind}, "validation"),
    "an infinite buffer": ({"__init__": built(infinite)}, "builds"),
    "fit raises": ({"fit": fit_crashes}, "builds"),
    "the autoencoder as a submodule": ({"__init__": built(adopt)}, "host-apart"),
    "a range of no setting": ({"space": {"spred": Float(0.1, 1.0)}}, "space"),
    "a range with an impossible end": ({"space": {"spread": Float(0.1, math.inf)}}, "space"),
    "draws without a batch": ({"sample": lambda self, n: Sound.sample(self, n).squeeze(0)}, "sample-form"),
    "draws always in float32": ({"sample": lambda self, n: Sound.sample(self, n).float()}, "sample-form"),
    "draws with a gradient": ({"sample": Sound.rsample}, "sample-form"),
    "draws from a generator of its own": ({"sample": own_generator}, "seed"),
    "draws from a seed of its own": ({"sample": own_seed}, "seed"),
    "rsample without a gradient": ({"rsample": lambda self, n: Sound.rsample(self, n).detach()}, "rsample"),
    "rsample with half a gradient": ({"rsample": half_a_gradient, "sample": Sound.sample}, "rsample"),
    "a dimension is kept": ({"log_prob": lambda self, z: Sound.log_prob(self, z)[..., None]}, "log-prob-form"),
    "always float64": ({"log_prob": lambda self, z: Sound.log_prob(self, z).double()}, "log-prob-form"),
    "a statistic of the batch": ({"log_prob": against_the_batch}, "rows"),
    "ln of exp": ({"log_prob": underflowing}, "tails"),
    "half of the gradient in z": ({"log_prob": half_attached}, "gradient"),
    "frozen at the first weights": ({"__init__": built(frozen_too_early)}, "frozen"),
    "a closed form of the KL": ({"divergence": closed_form}, "divergence"),
    "a mean of the KL": ({"divergence": lambda *all: Density.divergence(*all).mean()}, "divergence"),
    "frozen for one batch alone": ({"frozen": lambda self: lambda z: self.log_prob(z.flatten(0, -2))}, "frozen"),
    "a certainty of its own": ({"certainty": "approximate"}, "certainty"),
    "an estimate without an error": ({"certainty": "estimate"}, "certainty"),
    "exact with an error": ({"log_prob_error": 0.1}, "certainty"),
    "a wrong constant": ({"log_prob": lambda self, z: Sound.log_prob(self, z) + 0.01}, "mass"),
    "no log-determinant": ({"log_prob": without_determinant}, "mass"),
    "draws 4 % too narrow": ({"sample": shrunk}, "entropy"),
    "draws folded over": ({"sample": folded}, "draws"),
    "a parameter that nobody trains": ({"shared_parameters": lambda self: ()}, "owners"),
    "the encoder's parameters": ({"players": takes_the_encoder}, "owners"),
    "a parameter with two players": ({"players": takes_all_twice}, "owners"),
    "a parameter without use": ({"__init__": built(unused)}, "turns"),
    "a loss for every image": ({"loss": all_at_once}, "turns"),
    "a loss that ascends": ({"loss": ascending}, "turns"),
    "a loss that moves another's parameter": ({"loss": stepping}, "turns"),
    "a loss that calls backward": ({"loss": backward_itself}, "turns"),
    "parts that carry a gradient": ({"loss": attached_parts}, "turns"),
    "a constant that is not saved": ({"__init__": built(random_constant), "law": shifted_law}, "state"),
    "every fit moves it": ({"fit": fit_more}, "fit-once"),
    "what is fitted is not saved": ({"fit": fit_beside_the_state, "law": moved_law}, "fitted-state"),
    "a difference of large numbers": ({"log_prob": cancelling}, "precision"),
    "an infinite convention": ({"conventions": lambda self: {"lost": math.inf}}, "conventions"),
    "an infinite figure": ({"report": lambda self: (Diagnostic("lost", math.nan),)}, "report"),
}


def failures(kind: type[Prior] | str, laws: Sequence[Law] = QUICK, **settings: Any) -> dict[str, Verdict]:
    """The broken laws by name."""
    if not isinstance(kind, str):
        registry.PRIORS.put("probe", kind)
    trial = Trial(kind if isinstance(kind, str) else "probe", settings)
    return {verdict.law.name: verdict for verdict in examine(trial, laws) if verdict.outcome == "fail"}


def test_sound_prior_keeps_every_law():
    registry.PRIORS.put("probe", Sound)
    verdicts = {verdict.law.name: verdict.outcome for verdict in examine(Trial("probe"), LAWS_OF_PRIORS)}
    assert verdicts == dict.fromkeys((one.name for one in LAWS_OF_PRIORS), "pass") | {"originals": "does not apply"}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_breaks_its_law_and_no_other(fault):
    changes, law = FAULTS[fault]
    broken = failures(unlike_sound(**changes))
    assert set(broken) == {law}, {name: verdict.found for name, verdict in broken.items()}
    assert broken[law].found
    assert broken[law].fix


def test_every_law_has_a_fault():
    assert {law for _, law in FAULTS.values()} | {"training", "originals"} == {one.name for one in LAWS_OF_PRIORS}


@pytest.mark.parametrize("training", ["combined", "naive"])
def test_critic_of_binarised_images_breaks_its_law(training):
    """Pull-back's own critic keeps it; the same one fails that takes the drawn images for real."""

    class Blind(Pullback):
        def penalty(self, batch: Batch) -> Tensor | None:
            return super().penalty(Batch(batch.x))

        def critic_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            return super().critic_loss(Batch(batch.x))

    registry.PRIORS.put("blind", Blind)
    assert judge(originals, Trial("pullback", {"training": training})).outcome == "pass"
    verdict = judge(originals, Trial("blind", {"training": training}))
    assert verdict.outcome == "fail"
    assert "batch.original" in verdict.fix


# What is said of other priors


class Pushed(Prior):
    """Draws alone, which learn through `rsample`."""

    reparameterised = True

    def __init__(self, host: Host):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(host.latent_dim))

    def rsample(self, n: int) -> Tensor:
        return self.scale * torch.randn_like(self.scale.expand(n, -1))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.rsample(n)


def examined(kind: type[Prior]) -> dict[str, Verdict]:
    """Verdicts by law, the training left out."""
    registry.PRIORS.put("probe", kind)
    return {verdict.law.name: verdict for verdict in examine(Trial("probe"), QUICK)}


def test_laws_of_densities_say_nothing_of_draws_alone():
    told = examined(Pushed)
    assert {verdict.outcome for verdict in told.values()} == {"pass", "does not apply"}
    assert "no Density" in told["mass"].found
    assert told["rsample"].outcome == told["turns"].outcome == told["state"].outcome == "pass"


def test_draws_without_a_gradient_teach_nothing():
    broken = failures(type("Mute", (Pushed,), {"__doc__": "Mute.", "reparameterised": False}))
    assert set(broken) == {"turns"}
    assert "neither a density nor draws" in broken["turns"].found


def test_a_bound_need_not_integrate_to_one():
    lower = unlike_sound(certainty="bound", log_prob=lambda self, z: Sound.log_prob(self, z) - 0.1)
    told = examined(lower)
    silent = {name for name, one in told.items() if one.outcome == "does not apply"}
    assert silent == {"entropy", "draws", "originals"}
    assert "fail" not in {one.outcome for one in told.values()}


@pytest.mark.parametrize(("above", "error", "broken"), [(0.03, 0.0, {"mass"}), (0.03, 0.01, set()), (0.0, 0.01, set())])
def test_a_bound_integrates_to_no_more_than_one_within_its_error(above, error, broken):
    log_prob = lambda self, z: Sound.log_prob(self, z) + above  # noqa: E731
    assert set(failures(unlike_sound(certainty="bound", log_prob_error=error, log_prob=log_prob))) == broken


def test_an_estimate_is_forgiven_within_its_error():
    def estimate(shift: float, error: float) -> type[Prior]:
        log_prob = lambda self, z: Sound.log_prob(self, z) + shift  # noqa: E731
        return unlike_sound(certainty="estimate", log_prob_error=error, log_prob=log_prob)

    assert not failures(estimate(0.03, 0.01))
    assert set(failures(estimate(0.05, 0.01))) == {"mass"}


def test_implicit_gradients_are_no_fault():
    """Torch's gamma rejects proposals: at one noise the draws jump, and their gradient is right only on average."""

    def rsample(self: Pushed, n: int) -> Tensor:
        return torch.distributions.Gamma(2 + self.scale.square(), 1.0).rsample((n,))

    assert not failures(type("Gamma", (Pushed,), {"__doc__": "Gamma laws.", "rsample": rsample}))


def test_what_follows_a_broken_law_is_not_tried():
    told = examined(unlike_sound(fit=fit_crashes))
    assert told["builds"].found == "RuntimeError: no codes"
    assert told["builds"].fix.endswith(f"of {Path(__file__).name}, in fit_crashes")
    assert told["settings"].outcome == told["validation"].outcome == "pass"
    assert told["mass"].found == told["state"].found == "not tried: 'builds' fails"


def test_random_state_is_left_alone():
    before = torch.get_rng_state()
    assert not failures(Sound)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("kind", "broken", "words"),
    [
        (Sound, (), "VAE objective and exact NLL; figures of samples"),
        (Sound, ("draws", "entropy"), "VAE objective and exact NLL; no figures of samples: they would be of another"),
        (Sound, ("draws", "mass"), "nothing yet"),
        (unlike_sound(certainty="estimate"), (), "VAE objective and NLL with an estimate of the normaliser; figures"),
        (unlike_sound(certainty="bound"), (), "VAE objective and NLL with a bound of the density; figures of samples"),
        (Pushed, (), "WAE and figures of samples only: it has no density"),
    ],
)
def test_use(kind, broken, words):
    assert use(kind, broken).startswith(words)


# The mathematics of the laws


def integral(log_p: Tensor) -> float:
    return (log_p + grid().area.log()).exp().sum().item()


@pytest.mark.parametrize("sd", [0.2, 1.0, 10.0])
def test_grid_integrates_normal_laws(sd):
    law = torch.distributions.Normal(torch.tensor([0.33, -1.07]).double(), sd)
    assert integral(law.log_prob(grid().points).sum(-1)) == pytest.approx(1, abs=9e-4)


@pytest.mark.parametrize("freedom", [1.0, 2.0, 5.0])
def test_grid_reaches_heavy_tails(freedom):
    """Student's t in the plane: P(||z|| > R) = (1 + R^2 / nu)^(-nu / 2)."""
    r = grid().points.square().sum(-1)
    log_p = -math.log(2 * math.pi) - (freedom / 2 + 1) * (r / freedom).log1p()
    edge = grid().edges[-1].item()
    assert edge > 1000
    assert 1 - integral(log_p) == pytest.approx((1 + edge**2 / freedom) ** (-freedom / 2), abs=3e-4)


def test_regions_are_about_equally_probable():
    share = torch.distributions.Normal(1.0, 0.7).log_prob(grid().points).sum(-1).add(grid().area.log()).softmax(0)
    mass = torch.zeros(64, dtype=torch.float64).index_add(0, regions(share), share)
    assert mass.sum().item() == pytest.approx(1)
    assert (mass * 64 - 1).abs().max() < 0.5


def test_chi_squared_is_scipys():
    expected = torch.tensor([500.0, 300.0, 195.0, 3.0, 2.0]).double()
    observed = torch.tensor([470.0, 330.0, 190.0, 8.0, 2.0]).double()
    reference = chisquare([470, 330, 200], [500, 300, 200]).pvalue
    assert chi_squared(observed, expected) == pytest.approx(reference, rel=1e-10)


# The project's own priors

SMALL = {
    "components": 5, "widths": (16, 16), "channels": (4,), "width": 16, "steps": 20, "gan_steps": 2,
    "draws": 20_000, "final_draws": 100_000, "moves": 10, "scale": 2.0, "proposals": 64, "solver_steps": 8,
}  # fmt: skip
"""Of these, the settings that a prior has: a quick one, with its own sampler."""


def small(name: str) -> dict[str, Any]:
    return {key: value for key, value in SMALL.items() if key in registry.settings_of(registry.PRIORS[name])}


SECONDS = ("flow-matching", "implicit", "lebm", "ncp", "pullback", "two-stage", "aggregate", "autoregressive")
"""Priors that the laws take seconds for."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name in SECONDS)) for name in registry.PRIORS]
)
def test_own_prior_keeps_every_law(name):
    broken = failures(name, **small(name))
    assert not broken, {name: verdict.found for name, verdict in broken.items()}


LEARNED = [
    name
    for name, prior in registry.PRIORS.items()
    if issubclass(prior, Density) and any(one.requires_grad for one in Trial(name, small(name)).build().parameters())
]


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_of_an_own_prior_shapes_its_density(name):
    """The laws ask for a gradient, which may be 0 where a critic's loss is a difference: the last bias has no say."""
    prior = Trial(name, small(name)).fitted
    prior.log_prob(2 * torch.randn(50, 2, dtype=torch.float64)).mean().backward()
    for key, parameter in prior.named_parameters():
        assert not parameter.requires_grad or parameter.grad.abs().max() > 0, key


def test_own_estimates_of_ln_z_are_good_enough_to_be_tried():
    """`mass` forgives what the prior says that its ln Z is uncertain by: that must be little here."""
    estimates = [name for name in registry.PRIORS if getattr(registry.PRIORS[name], "certainty", "") == "estimate"]
    errors = {name: Trial(name, small(name)).fitted.log_prob_error for name in estimates}
    assert errors
    assert max(errors.values()) < 5e-3, errors


@pytest.mark.slow
def test_draws_of_pullbacks_paper_are_of_another_law():
    broken = failures("pullback", **small("pullback") | {"sampling": "gan"})
    assert "draws" in broken


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.PRIORS)
def test_own_prior_goes_through_training(name):
    assert judge(training, Trial(name, small(name))).outcome == "pass"


# A short run in the harness


def trained(kind: type[Prior], **settings: Any) -> Verdict:
    registry.PRIORS.put("probe", kind)
    return judge(training, Trial("probe", settings))


@pytest.mark.long
def test_training_finds_what_vectors_hide():
    verdict = trained(unlike_sound(divergence=only_vectors))
    assert verdict.outcome == "fail"
    assert verdict.found == "failed: ValueError: x is no vector"
    assert not failures(unlike_sound(divergence=only_vectors))


def test_training_finds_a_figure_that_is_refused():
    def frozen(self: Sound) -> None:
        raise Unsupported("no figure of mine")

    verdict = trained(unlike_sound(frozen=frozen))
    assert (verdict.outcome, verdict.found) == ("fail", "nll: no figure of mine")


@pytest.mark.parametrize("regulariser", ["mmd", "prior-critic"])
def test_draws_alone_train_a_wasserstein_autoencoder(regulariser, monkeypatch):
    kind = registry.PRIORS["pgen"] if regulariser == "prior-critic" else Pushed
    suites = []
    monkeypatch.setattr(suite, "expand", lambda one, expand=suite.expand: suites.append(one) or expand(one))
    assert trained(kind, **({"widths": (16,)} if kind is not Pushed else {})).outcome == "pass"
    assert suites[0].method["probe"]["regularisers"] == [regulariser]


# The command

PLUGIN = '''
from priors.gaussian import Gaussian
from priors.registry import register

@register("off")
class Off(Gaussian):
    """A standard normal with a wrong constant."""

    def __init__(self, host, *, by: float = 0.5):
        super().__init__(host)
        self.by = by

    def log_prob(self, z):
        return super().log_prob(z) + self.by
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "off.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return str(path)


def test_command_tells_what_is_broken_and_the_likely_fix(plugin, capsys):
    assert main(["--plugin", plugin]) == 1
    told = capsys.readouterr().out
    assert "  FAIL mass           exp(log_prob) integrates to 1" in told
    assert "found: it integrates to 1.6487: ln p is off by +0.5 nats\n" in told
    assert "fix:   look for the constant" in told
    assert "\n  pass entropy  " in told
    assert told.endswith("off breaks mass. It may be used for: nothing yet.\n")


def test_command_takes_settings(plugin, capsys):
    assert main(["--plugin", plugin, "--set", "prior.off.by=0"]) == 0
    assert capsys.readouterr().out.endswith("It may be used for: VAE objective and exact NLL; figures of samples.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "pass --plugin FILE, or --prior, --metric or --dataset NAME"),
        (["--prior", "gausian"], "Unknown prior 'gausian'. Did you mean 'gaussian'?"),
        (["--plugin", "nowhere.py"], "nowhere.py does not exist"),
        (["--prior", "mixture", "--set", "prior.mixture.component=3"], "Did you mean 'components'?"),
        (["--prior", "mixture", "--set", "prior.mixture.components=few"], "components = 'few' is not valid"),
        (["--prior", "mixture", "--set", "prior.mixture=3"], "write it as prior.mixture.key=value"),
        (["--prior", "mixture", "--set", "prior.gaussian.spread=3"], "Unknown prior 'gaussian'"),
        (["--prior", "mixture", "--set", "training.epochs=3"], "only prior.NAME.key=value"),
        (["--prior", "mixture", "--set", "components=3"], "write it as section.key=value"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.long
def test_command_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.conformance", "--prior", "no"], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "Unknown prior 'no'" in ended.stderr


# docs/add-a-prior.md

PAGE = (ROOT / "docs" / "add-a-prior.md").read_text(encoding="utf-8")
FILES = {code.split()[1]: code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)}
TOML = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS = re.findall(r"^    python -m benchmarks\.(\w+) (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, the current one."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments_of(module: str) -> list[str]:
    """Of the page's only command `python -m benchmarks.MODULE`."""
    (found,) = [shlex.split(rest) for name, rest in COMMANDS if name == module]
    return found


def test_all_of_the_page_is_tested():
    assert list(FILES) == ["student.py", "push.py", "dent.py", "rings.py"]
    assert [name for name, _ in COMMANDS] == ["conformance", "run", "tune"]
    assert len(TOML) == 3
    assert PAGE.count("```") == 2 * (len(FILES) + len(TOML))


def test_pages_first_prior_is_short():
    assert len([row for row in FILES["student.py"].splitlines() if row.strip()]) <= 30


@pytest.mark.usefixtures("page")
def test_pages_prior_keeps_the_contract(capsys):
    assert main(arguments_of("conformance")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert f"\n    {last}\n" in PAGE


def test_pages_mistake_is_found(page):
    right = FILES["student.py"]
    wrong = right.replace(" - self.log_scale.sum()", "")
    assert wrong != right
    (page / "student.py").write_text(wrong, encoding="utf-8")
    load_plugin(page / "student.py")
    broken = failures("student")
    assert set(broken) == {"mass"}
    for row in line(broken["mass"]).splitlines():
        assert re.sub(r"[-+]?\d\.\d+", "#", row) in re.sub(r"[-+]?\d\.\d+", "#", PAGE)


@pytest.mark.long
@pytest.mark.parametrize(("name", "words"), [("push", "WAE and figures of samples only"), ("dent", "an estimate")])
def test_pages_other_priors_keep_the_contract(page, name, words):
    assert load_plugin(page / f"{name}.py") == (("prior", name),)
    assert not failures(name)
    assert words in use(registry.PRIORS[name])


@pytest.mark.usefixtures("page")
def test_pages_other_parts_keep_their_laws(capsys):
    assert main(["--plugin", "rings.py"]) == 0
    told = capsys.readouterr().out
    assert "\nrings keeps all 5 laws that apply to it.\n" in told
    assert "\ncode_spread keeps all 5 laws that apply to it.\n" in told


@pytest.mark.long
def test_pages_data_set_and_metric_run_together(page):
    """In processes of their own, which import the plug-in themselves."""
    path = page / "own.toml"
    path.write_text(
        'title = "Rings"\ndatasets = ["rings"]\nmethods = ["gaussian"]\nseeds = 1\nmetrics = ["nll", "code_spread"]\n'
        '[model]\nlikelihood = "gaussian-scalar"\nwidths = [8]\nlatent_dim = 2\n'
        "[training]\nepochs = 1\n[protocol]\nsamples = [10]\nimages = 20\n"
    )
    where = ["--suite", str(path), "--results", str(page), "--device", "cpu", "--workers", "1"]
    assert run.main([*where, "--plugin", "rings.py"]) == 0
    lines = (page / "own.csv").read_text(encoding="utf-8")
    assert "code_spread,posterior-means" in lines


@pytest.mark.usefixtures("page")
def test_pages_comparison_is_one():
    command = tyro.cli(run.Command, args=arguments_of("run"), config=STYLE)
    chosen = suite.read(command.suite)
    override = "prior.student.freedom=3"
    assert f"`--set {override}`" in PAGE
    plugins = load_plugins(command.plugin)
    runs = suite.expand(chosen, Request(methods=command.method, overrides=(override,), plugins=plugins))
    assert {(one.method, one.prior.settings.get("freedom")) for one in runs} == {("gaussian", None), ("student", 3.0)}


def test_pages_suites_are_valid(page):
    load_plugin(page / "student.py")
    load_plugin(page / "push.py")
    own, pushed = (validated(Suite, {"name": "own", **one}, "own") for one in TOML if "title" in one)
    assert len(suite.expand(own)) == 10
    assert suite.expand(own)[5].prior.settings == {"freedom": 3.0}
    assert {(one.model.type, one.prior.name) for one in suite.expand(pushed)} == {("wae", "push")}


def test_pages_command_for_tuning_is_one():
    tune = pytest.importorskip("benchmarks.tune")
    command = tyro.cli(tune.Command, args=arguments_of("tune"), config=STYLE)
    assert (command.suite, command.method) == ("quickstart", ("student",))


def test_pages_package_registers_its_prior(page, monkeypatch):
    content = TOML[1]
    points = content["project"]["entry-points"][GROUPS[0]]
    assert points == {"student": "student"}
    assert content["tool"]["setuptools"]["py-modules"] == ["student"]
    monkeypatch.syspath_prepend(page)
    offered = [importlib.metadata.EntryPoint(name, value, GROUPS[0]) for name, value in points.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered if group == GROUPS[0] else ())
    load_entry_points()
    assert registry.PRIORS["student"].__module__ == "student"
    monkeypatch.delitem(sys.modules, "student")


def test_page_names_what_exists():
    for path in re.findall(r"`((?:priors|models|benchmarks)/[\w/.-]+)`", PAGE):
        assert (ROOT / path).is_file(), path
    for name in re.findall(r"^metrics = (\[.*\])$", PAGE, re.MULTILINE):
        assert {*ast.literal_eval(name)} <= {*METRICS}
