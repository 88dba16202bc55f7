"""Laws of what is kept, and of what is told."""

from __future__ import annotations

import io
import math

import torch
from torch import Tensor

from priors.base import Density, Diagnostic, Prior, density
from priors.conformance.construction import SOUND
from priors.conformance.density import POINTWISE
from priors.conformance.law import NotApplicable, demand, law
from priors.conformance.samples import seed
from priors.conformance.trial import Trial, points, same, small_host


@law(after=(seed,))
def state(trial: Trial) -> None:
    """The state_dict is the whole state: loaded into another instance, it gives the same draws and densities."""
    saved = trial.build().eval()
    fix = "constants drawn at random are buffers, what is learned are parameters, and both are used as they now stand"
    same("as saved", behaviour(saved), "as loaded", behaviour(reloaded(trial, saved)), fix)


@law(after=(seed,))
def fit_once(trial: Trial) -> None:
    """`fit`, called again on the state that it left, changes nothing."""
    refuse_unfitted(trial)
    prior = trial.fit(trial.build())
    first = behaviour(prior)
    fix = "return at once if a buffer `fitted` says so, or start afresh from the codes"
    same("after one call", first, "after two", behaviour(trial.fit(prior)), fix)


@law(after=(state, fit_once))
def fitted_state(trial: Trial) -> None:
    """The state_dict is the whole state after `fit` too, once `fit` has been called on what was loaded."""
    refuse_unfitted(trial)
    again = trial.fit(reloaded(trial, trial.fitted))
    fix = "keep what is fitted in buffers registered in the constructor, at their final shape"
    same("as saved", behaviour(trial.fitted), "as loaded", behaviour(again), fix)


def refuse_unfitted(trial: Trial) -> None:
    """Raises NotApplicable for a prior that has no `fit` of its own."""
    if trial.kind.fit is Prior.fit:
        raise NotApplicable("it fits nothing after training")


def reloaded(trial: Trial, prior: Prior) -> Prior:
    """Another instance, with other random numbers, under the saved state."""
    file = io.BytesIO()
    torch.save(prior.state_dict(), file)
    file.seek(0)
    other = trial.build(seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other.eval()


@torch.no_grad()
def behaviour(prior: Prior) -> Tensor:
    """Draws, and densities of points, from a fixed random state."""
    z = points(20)
    values = [prior.log_prob(z).flatten()] if isinstance(prior, Density) else []
    return torch.cat([prior.sample(20).flatten(), *values])


@law(Density, after=(*POINTWISE, state))
def precision(trial: Trial) -> None:
    """In float32 it is the same density."""
    double, single = (density(trial.build(host=host)).eval() for host in (None, small_host(dtype=torch.float32)))
    single.load_state_dict(double.state_dict())
    z = points(50)
    a, b = double.log_prob(z), single.log_prob(z.float()).double()
    found = f"ln p(z) differs by up to {(a - b).abs().max():.2g} nats between float32 and float64"
    demand(torch.allclose(a, b, 1e-4, 1e-3), found, "no differences of large numbers; keep constants as buffers")


@law(Density, after=SOUND)
def conventions(trial: Trial) -> None:
    """conventions() gives finite shifts in nats, by name."""
    told = trial.density.conventions()
    if not told:
        raise NotApplicable("its paper has no normalisation of its own")
    wrong = [name for name, shift in told.items() if not math.isfinite(shift)]
    demand(not wrong, f"not finite: {', '.join(wrong)}", "give ln p so normalised minus log_prob, once it is known")


@law(after=SOUND)
def report(trial: Trial) -> None:
    """report() gives named finite diagnostics."""
    told = trial.fitted.report()
    if not told:
        raise NotApplicable("it has nothing to tell of itself")
    wrong = [str(one) for one in told if not (isinstance(one, Diagnostic) and math.isfinite(one.value))]
    fix = 'give Diagnostic("name", float, "unit"), once it is known'
    demand(not wrong, f"not a finite diagnostic: {', '.join(wrong)}", fix)
