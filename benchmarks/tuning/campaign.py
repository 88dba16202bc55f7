"""All studies of a command, one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from optuna.exceptions import StorageInternalError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.common.errors import find
from benchmarks.runner.executors import EXECUTORS, Resources
from benchmarks.tuning import result
from benchmarks.tuning.batch import carry_out
from benchmarks.tuning.plan import Plan, studies, study_name
from benchmarks.tuning.slots import tidy
from benchmarks.tuning.view import View, command_on, conclude, introduce


def carry_out_all(
    plan: Plan,
    executor: str,
    resources: Resources,
    console: Console,
    write: Callable[[pd.DataFrame, Path], object],
) -> int:
    """One study after another, each written when it ends; then the methods of a data set as one suite.

    executor: a name of EXECUTORS. resources: workers trials at once. write: how a table goes to its file. 1 where a
    study has no best trial, 0 otherwise.
    """
    chosen, resources = find(EXECUTORS, executor), resources.over({"slurm": plan.chosen.slurm})
    ended = []
    for tuning in studies(plan, console):
        study = tuning.begin()
        introduce(console, tuning, study)
        try:
            with View(console, tuning, study).watch():
                carry_out(tuning, chosen, resources)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise tuning.unusable(error) from None
        finally:
            ended.append(result.Ended(tuning, tidy(study, tuning.trials)))
            conclude(console, ended[-1], write, plan.places)
    for dataset in dict.fromkeys(one.tuning.dataset for one in ended):
        together = [one for one in ended if one.best and one.tuning.dataset == dataset]
        if len(together) > 1:
            name = study_name(plan, dataset, *(one.tuning.method for one in together))
            path = together[0].tuning.workspace.results / f"{name}.toml"
            result.write_suite(together, path)
            line = f"these methods as one suite: {command_on(path, plan.places)}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0 if all(one.best for one in ended) else 1
