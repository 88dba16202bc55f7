"""A run as a folder that a model hub takes: weights, settings, and a card that says what they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.export.exported import Exported

FILES = ("weights.safetensors", "fitted.safetensors", "config.json", "history.csv", "metrics.json")
"""Of a run's folder, what makes the model again and says how good it is. fitted: what the prior fitted afterwards."""

CARD = "README.md"

FRONT = "---\nlibrary_name: pytorch\n"
"""Begins every card."""


def write(runs: Sequence[Exported], where: Path) -> str:
    """A folder a run: its files, its pictures and README.md, the card."""
    folders = {one.name: where if len(runs) == 1 else where / one.name for one in runs}
    for folder in folders.values():
        check_own(folder)
    for one in runs:
        put(one, folders[one.name])
    return f"a folder each in {where}" if len(runs) > 1 else f"weights and a card in {where}"


def check_own(folder: Path) -> None:
    """UsageError where a folder has a README.md that is no card of ours: it may be of any of a person's projects."""
    path = folder / CARD
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(FRONT):
        raise UsageError(f"{path} is there and is of no export: name another folder with --out.")


def put(one: Exported, folder: Path) -> None:
    """A run's folder, without what an earlier run has left there that this one has not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for path in (*(one.record.folder / name for name in FILES), *one.pictures):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    write_atomically(folder / CARD, lambda file: file.write(card(one).encode()))


def card(one: Exported) -> str:
    """The model card: front matter for the hub, what the model is, how it was made, its estimates, how to load it."""
    run = one.run
    prior = run.prior.name if run.prior else ""
    rows = "\n".join(f"| {name} | {each.value:.5g} | {told(each.error)} |" for name, each in one.estimates.items())
    settings = json.dumps(one.settings, indent=1, sort_keys=True)
    return f"""{FRONT}tags: [variational-autoencoder, {run.model.type}, {prior}, priorbench]
datasets: [{run.dataset}]
---

# {run.method} on {run.dataset}, seed {run.seed}

An autoencoder (`{run.model.type}`, backbone `{run.model.backbone}`, {run.model.latent_dim} latent dimensions) with the
prior `{prior}`, a run of the suite `{run.suite}` of priorbench. It was made to compare priors, and for nothing else.

| estimate | value | error |
|---|---|---|
{rows}

The error is over images or draws; what other seeds would give is not in it.

The weights are `weights.safetensors`{fitted(one)}, keys `model.*` and `prior.*`. In a folder of results the run is
loaded by `priorbench`'s `load_run`, which builds the networks from these settings:

```json
{settings}
```
"""


def told(error: float | None) -> str:
    """An estimate's error, or nothing."""
    return "" if error is None else f"{error:.2g}"


def fitted(one: Exported) -> str:
    """What is said of the file of what was fitted after training."""
    there = (one.record.folder / "fitted.safetensors").is_file()
    return " (and `fitted.safetensors`, what the prior fitted to the codes afterwards)" if there else ""
