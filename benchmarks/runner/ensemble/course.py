"""A training of several members to its end: who is done leaves, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter

from benchmarks.runner.ensemble.ensemble import Ensemble
from benchmarks.runner.train import Diverged, Progress, Taken, Trainer

Ended = Callable[[Trainer, Progress | Diverged], object]
"""Is handed every member at its end, and how it ended."""


def train(trainers: Sequence[Trainer], ended: Ended) -> None:
    """Trains those that have finished equally many epochs together, each with all that its own run does, after their
    checkpoints are taken up. Whoever is left alone is saved as it stands, to go on alone.

    Raises Unstackable; what was trained until then is in the checkpoints.
    """
    for one in trainers:
        one.resume()
    epochs = attrgetter("progress.epoch")
    for _, same in groupby(sorted(trainers, key=epochs), epochs):
        left = going_on(list(same), ended)
        while len(left) > 1:
            ensemble = Ensemble(left)
            while len(left) == len(ensemble.members):
                left = epoch(ensemble, ended)
        for one in left:
            if one.progress.epoch:
                one.checkpoint()


def epoch(ensemble: Ensemble, ended: Ended) -> list[Trainer]:
    """One epoch of all, and who goes on after it."""
    start, warm_up = Taken.now(), ensemble.first.warm_up()
    losses = ensemble.epoch()
    share = start.since(len(ensemble.members))
    well = []
    for one, own in zip(ensemble.members, losses, strict=True):
        one.progress.shared = True
        try:
            one.end_epoch(own, share, warm_up)
            well.append(one)
        except Diverged as reason:
            ended(one, reason)
    return going_on(well, ended)


def going_on(trainers: Sequence[Trainer], ended: Ended) -> list[Trainer]:
    """Those that have not finished; the others are at their end."""
    for one in trainers:
        if one.finished():
            ended(one, one.end())
    return [one for one in trainers if not one.finished()]
