"""The laws of the contract, each a small function: what a prior must obey before a number in a table means anything.

`examine(Trial("mine"))` tries all of them on a registered prior. It needs no data: the prior is built on the small
autoencoder of `priors.testing`, in two latent dimensions so that a grid can integrate its density, with every weight
moved away from its start, where a forgotten term may well be zero.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from priors.base import Density, Prior
from priors.conformance.agreement import certainty, draws, entropy, mass
from priors.conformance.construction import builds, host_apart, settings, space, summary
from priors.conformance.density import divergence, frozen, gradient, log_prob_form, rows, tails
from priors.conformance.keeping import conventions, fit_once, fitted_state, precision, report, state
from priors.conformance.law import Broken, Law, NotApplicable, Verdict
from priors.conformance.samples import rsample, sample_form, seed
from priors.conformance.training import originals, owners, turns
from priors.conformance.trial import Trial as Trial
from priors.wording import in_one_line

LAWS = (
    *(summary, settings, builds, host_apart, space),
    *(sample_form, seed, rsample),
    *(log_prob_form, rows, tails, gradient, frozen, divergence),
    *(certainty, mass, entropy, draws),
    *(owners, turns, originals),
    *(state, fit_once, fitted_state, precision, conventions, report),
)


def examine(trial: Any, laws: Sequence[Law] = LAWS) -> Iterator[Verdict]:
    """The verdicts in their order; of a `Trial`, unless the laws are of other parts.

    A law after one that failed is not tried. Torch's random state is left alone.
    """
    closed: dict[str, str] = {}  # law to the failed one that it waits for
    for one in laws:
        root = next((closed[before.name] for before in one.after if before.name in closed), None)
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            verdict = Verdict(one, "does not apply", f"not tried: '{root}' fails") if root else judge(one, trial)
        if root or verdict.outcome == "fail":
            closed[one.name] = root or one.name
        yield verdict


def judge(one: Law, trial: Any) -> Verdict:
    """One law's verdict. What the part's own code raises is its failure, not the caller's."""
    if one.of and not issubclass(trial.kind, one.of):
        return Verdict(one, "does not apply", f"it is no {one.of.__name__}: it is known through its samples")
    try:
        one.check(trial)
    except NotApplicable as reason:
        return Verdict(one, "does not apply", str(reason))
    except Broken as broken:
        return Verdict(one, "fail", str(broken), broken.fix)
    except Exception as error:
        return Verdict(one, "fail", in_one_line(error), f"look at {origin(error, trial.kind)}")
    return Verdict(one, "pass")


def origin(error: Exception, kind: Any) -> str:
    """The last line of the part's own file that the error came through."""
    file = inspect.getsourcefile(kind)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file] or frames
    return f"line {own[-1].lineno} of {Path(own[-1].filename).name}, in {own[-1].name}"


NLL = {
    "exact": "exact NLL",
    "estimate": "NLL with an estimate of the normaliser",
    "bound": "NLL with a bound of the density",
}


def use(kind: type[Prior], broken: Collection[str] = ()) -> str:
    """What a prior may be used for that breaks these laws."""
    if {*broken} - {entropy.name, draws.name}:
        return "nothing yet"
    if not issubclass(kind, Density):
        return "WAE and figures of samples only: it has no density"
    samples = "no figures of samples: they would be of another law" if broken else "figures of samples"
    return f"VAE objective and {NLL[kind.certainty]}; {samples}"
