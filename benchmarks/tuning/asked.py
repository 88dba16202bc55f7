"""A trial under way: what its runs have told so far, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from benchmarks.common.errors import UsageError
from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome
from benchmarks.tuning.study import Study


class Failed(Exception):
    """A trial has no estimate; the message says why."""


@dataclass
class Asked:
    """A trial that this process has asked for. runs: a seed each, none where the settings are refused for a reason.

    told: steps that the study knows, of an earlier attempt too. judged: those after which it was asked whether to go
    on. pruned: it was not to.
    """

    tuning: Study
    trial: Trial
    told: set[int]
    runs: list[Run] = field(default_factory=list)
    reason: str = ""
    judged: set[int] = field(default_factory=set)
    pruned: bool = False

    def look(self) -> None:
        """Tells the study the validation losses that have come since, seed by seed and epoch by epoch, up to the one
        after which the trial is to be cut short. Which that is depends on no clock."""
        if not self.tuning.prunes:
            return
        for index, run in enumerate(self.runs):
            record = self.tuning.workspace.record(run)
            over = record.trained()
            for epoch, loss in sorted(record.losses().items()):
                if self.pruned:
                    return
                self.judge(index * run.training.epochs + epoch, loss)
            if not over:
                return

    def judge(self, step: int, loss: float) -> None:
        """The pruner's word after a step, once."""
        if step in self.judged:
            return
        if step not in self.told:
            self.trial.report(loss, step)
        self.judged.add(step)
        self.pruned = self.trial.should_prune()

    def needs(self, run: Run, outcomes: Mapping[str, Outcome]) -> bool:
        """Is the run of use to it, after what has ended?"""
        if self.pruned or run.name not in {one.name for one in self.runs}:
            return False
        return all(outcomes[one.name].status == "ok" for one in self.runs if one.name in outcomes)

    def tell(self, study: optuna.Study, outcomes: Mapping[str, Outcome]) -> None:
        """The study, how it ended. Why there are no values is kept with the trial."""
        try:
            if self.pruned:
                study.tell(self.trial, state=TrialState.PRUNED)
            else:
                study.tell(self.trial, self.values(outcomes))
        except (Failed, UsageError) as reason:
            self.trial.set_user_attr("reason", str(reason))
            study.tell(self.trial, state=TrialState.FAIL)

    def values(self, outcomes: Mapping[str, Outcome]) -> list[float]:
        """The objectives' means over the seeds; Failed."""
        if self.reason:
            raise Failed(self.reason)
        for run in self.runs:
            if outcomes[run.name].status not in ("ok", "cut"):
                raise Failed(f"{outcomes[run.name].status}: {outcomes[run.name].note}")
        estimates = [self.estimates(run) for run in self.runs]
        columns = list(zip(*estimates, strict=True))  # an objective each
        self.trial.set_user_attr("estimators", [one["estimator"] for one in estimates[0]])
        self.trial.set_user_attr("errors", [max(one["error"] or 0.0 for one in column) for column in columns])
        return [sum(one["value"] for one in column) / len(column) for column in columns]

    def estimates(self, run: Run) -> list[dict[str, Any]]:
        """The first estimate of each objective's metric on the validation images; Failed where one is missing."""
        told = (self.tuning.workspace.record(run).read("metrics.json") or {"metrics": {}})["metrics"]
        chosen = []
        for metric in run.metrics:
            if metric not in told:
                raise Failed("cut short by another command")
            if "unsupported" in told[metric]:
                raise Failed(f"unsupported: {told[metric]['unsupported']}")
            chosen.append(told[metric]["figures"][0])
            if not math.isfinite(chosen[-1]["value"]):
                raise Failed(f"{metric} is {chosen[-1]['value']}")
        return chosen
