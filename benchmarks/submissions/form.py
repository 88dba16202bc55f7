"""A claim as its JSON has it, read strictly: every fault is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.common.names import FileName
from benchmarks.common.settings import Settings, explain
from benchmarks.tables import ledger
from benchmarks.tables.ledger import Entry

FORMAT = 1

CLAIM, CHECKED = ".json", ".checked.json"
"""Endings of a claim's file, and of what was found of it."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Hash8 = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
PythonFile = Annotated[str, Field(pattern=r"^[\w.+-]+\.py$", max_length=200)]
TomlFile = Annotated[str, Field(pattern=r"^([^/\\\x00-\x1f]+\.toml)?$", max_length=200)]


class Strict(Settings):
    """Of a third party: a text is no number, and nothing is left to be guessed."""

    model_config = ConfigDict(strict=True)


class Estimate(Strict):
    """As a run's record has it. error: standard error within the run, over images or draws."""

    metric: str
    estimator: str
    value: float
    unit: str
    direction: str
    error: float | None
    alarm: str
    remarks: list[list[Any]] = []


class Metric(Strict):
    """A metric's estimates, or the reason why it has none."""

    figures: list[Estimate] = []
    seconds: float | None = None
    unsupported: str = ""


class Environment(Strict):
    """What a run was computed on: as `machine.environment` tells it, which has more for a GPU."""

    model_config = ConfigDict(strict=True, extra="allow")

    packages: dict[str, str]


class Made(Strict):
    """Sources and versions that made a run."""

    model_config = ConfigDict(strict=True, extra="allow")

    sources: str


class Training(Strict):
    """How it ended, and what more a run's record has of it: note, epochs, turns, costs."""

    model_config = ConfigDict(strict=True, extra="allow")

    status: Literal["ok", "diverged", "unsupported"]


class ClaimedRun(Strict):
    """An `Entry` of a ledger, whose settings and environment stand in the claim's lists."""

    seed: int = Field(ge=0, lt=2**63)
    evaluation: Hash8
    protocol: str
    settings: int = Field(ge=0)
    environment: int = Field(ge=0)
    by: list[Made] = Field(min_length=1)
    data: Sha256
    weights: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]
    ended: Day
    training: Training
    metrics: dict[str, Metric]


class PluginFile(Strict):
    """The source file beside the claim, and the priors that it registers, each with the first line of its docstring."""

    file: PythonFile
    sha256: Sha256
    priors: dict[str, str] = Field(min_length=1)


class SuiteFile(Strict):
    """The suite by its name; file: its TOML beside the claim, where it is none of the project's."""

    name: FileName
    file: TomlFile = ""


class Claim(Strict):
    """What an author measured of the priors of one file on one suite, run by run.

    date: when it was written, in UTC. settings, environment: what runs share, named there by their places.
    """

    format: Literal[1]
    name: FileName
    summary: str
    date: Day
    plugin: PluginFile
    suite: SuiteFile
    settings: list[dict[str, Any]]
    environment: list[Environment]
    runs: dict[str, ClaimedRun] = Field(min_length=1)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs.values()})

    def entries(self) -> dict[str, Entry]:
        """The runs as a ledger has them."""
        return ledger.unpacked(self.model_dump(mode="json"))


def parsed(text: str, where: str) -> tuple[Claim | None, list[str]]:
    """(the claim, or None with a sentence for every fault of its form)."""
    try:
        claim = Claim.model_validate_json(text)
    except ValidationError as error:
        return None, [sentence(one, where) for one in error.errors()]
    return (None, found) if (found := list(misplaced(claim, where))) else (claim, [])


def sentence(error: Any, where: str) -> str:
    """A fault as pydantic tells it, in a sentence."""
    if error["type"] == "json_invalid":
        return f"{where} is no JSON: {error['ctx']['error']}."
    return explain(error, Claim, where)


def misplaced(claim: Claim, where: str) -> Iterator[str]:
    """Places in the lists of what runs share that these do not have."""
    for name, run in claim.runs.items():
        for key in ledger.SHARED:
            place, many = getattr(run, key), len(getattr(claim, key))
            if place >= many:
                yield f"{where}: runs.{name}.{key} = {place} is not valid: there are {many}, counted from 0."


def found_at(path: Path) -> list[Path]:
    """The claims that a path means: a file, a folder that holds one, or a folder of such folders. UsageError for what
    is none of these."""
    if path.is_file():
        if not is_claim(path):
            raise UsageError(f"{path} is no claim: --check takes a submission's folder or its NAME.json.")
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path} does not exist: --check takes a submission's folder or its JSON.")
    own = claims_in(path)
    if own or any(path.glob("*.py")):
        return [one_of(path, own)]
    return [one_of(folder, claims_in(folder)) for folder in sorted(path.iterdir()) if folder.is_dir()]


def claims_in(folder: Path) -> list[Path]:
    """The claims in a folder, without what was found of them."""
    return sorted(filter(is_claim, folder.glob(f"*{CLAIM}")))


def is_claim(path: Path) -> bool:
    """By its name."""
    return path.is_file() and path.name.endswith(CLAIM) and not path.name.endswith(CHECKED)


def priors_of(path: Path) -> set[str]:
    """The names of the priors that a file claims; none where it is no claim."""
    try:
        return {*json.loads(path.read_bytes())["plugin"]["priors"]}
    except (ValueError, KeyError, TypeError):
        return set()


def one_of(folder: Path, claims: list[Path]) -> Path:
    """The only claim of a folder."""
    if len(claims) != 1:
        found = "it has " + (", ".join(path.name for path in claims) or "none")
        raise UsageError(f"{folder} is no submission: a folder has one claim, NAME.json, and {found}.")
    return claims[0]


def write(content: Any, path: Path) -> None:
    """As JSON that people can read, too."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
