"""What a person sees while a suite runs: a live view on a terminal, plain lines elsewhere.

It reads the runs' folders and nothing else, so it shows workers of any kind.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmarks.common.escape import in_line
from benchmarks.config.settings import Run
from benchmarks.runner.blame import hint
from benchmarks.runner.execute import Outcome
from benchmarks.runner.workspace import Workspace

LINE_SECONDS = 60.0
"""Between two plain lines on a run that is under way."""

SILENCE_SECONDS = 300.0
"""After which a run may hang: few epochs or steps of an evaluation take longer."""

TRAINED = "trained"
"""The stage of a run that was trained together with others, and waits to be evaluated."""

MARKS: dict[str, tuple[str, str]] = {
    "ok": ("done", "green"),
    "unsupported": ("unsupported", "yellow"),
    "diverged": ("diverged", "red"),
    "failed": ("failed", "red"),
}


class Display:
    """Progress of a list of runs. `watch()` shows it; `ended(outcome)` tells it of a run's end."""

    def __init__(self, console: Console, runs: Sequence[Run], workspace: Workspace, workers: int):
        self.console, self.workspace, self.workers = console, workspace, workers
        self.left = {run.name: run for run in runs}
        self.total, self.start, self.began = len(runs), time.monotonic(), time.time()
        self.count, self.elsewhere = 0, set[str]()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """A live view on a terminal; elsewhere a line for every run under way, once a minute."""
        if self.console.is_terminal:
            with Live(get_renderable=self.view, console=self.console, refresh_per_second=2, transient=True):
                yield
            return
        with periodically(self.narrate, LINE_SECONDS):
            yield

    def met(self, outcome: Outcome) -> None:
        """Notes a run that another process carries out."""
        self.elsewhere.add(outcome.run.name)

    def back(self, runs: Sequence[Run]) -> None:
        """Notes runs that no other process holds any longer."""
        self.elsewhere -= {run.name for run in runs}

    def others(self) -> str:
        """`3 runs elsewhere`: those that other processes were met at and that have not ended; empty without any."""
        n = len(self.elsewhere & self.left.keys())
        return f"{n} run{'s' * (n > 1)} elsewhere" if n else ""

    def narrate(self) -> None:
        if others := self.others():
            self.console.print(Text(others))
        for run, status in self.running():
            line = f"{run.method} on {run.dataset}, seed {run.seed}: {describe(status)}"
            self.console.print(Text(in_line(line)), soft_wrap=True)

    def running(self) -> list[tuple[Run, dict[str, Any]]]:
        """Those of this command."""
        own = [run for name, run in list(self.left.items()) if name not in self.elsewhere]
        return [(run, status) for run in own if (status := self.status(run))]

    def ended(self, outcome: Outcome) -> None:
        """A line a run, above the live view or alone."""
        self.left.pop(outcome.run.name, None)
        self.elsewhere.discard(outcome.run.name)
        self.count += 1
        run, note = outcome.run, outcome.note
        line = Text.assemble(
            f"{self.count:>{len(str(self.total))}}/{self.total} ",
            MARKS[outcome.status],
            f" {in_line(run.method)} on {in_line(run.dataset)}, seed {run.seed} ",
            (f"({duration(outcome.seconds)})", "dim"),
            in_line(f": {note}" if note else ""),
        )
        self.console.print(line, soft_wrap=True)
        if outcome.status == "failed":
            self.console.print(Text(in_line(f"  {hint(run, self.workspace)}"), "dim"), soft_wrap=True)

    def view(self) -> RenderableType:
        """The suite's bar over one line for every run that is under way."""
        running = self.running()
        done = self.count + sum(share(status) for _, status in running)
        elapsed = time.monotonic() - self.start
        left = duration(elapsed * (self.total - done) / done) if done > 0 else "?"
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        so_far = f"{self.count}/{self.total} runs, {duration(elapsed)} so far, about {left} left"
        grid.add_row(Text("suite", "bold"), ProgressBar(self.total, done, width=24), so_far)
        if others := self.others():
            grid.add_row(Text(others, "dim"), "", "")
        for run, status in running:
            name = Text(in_line(f"{run.method} on {run.dataset}, seed {run.seed}"))
            grid.add_row(name, ProgressBar(1.0, share(status), width=24), Text(in_line(describe(status))))
        return Group(grid)

    def status(self, run: Run) -> dict[str, Any] | None:
        """The run's own word, unless it is of an earlier command, and the seconds since (`silent`)."""
        record = self.workspace.record(run)
        status = record.reported()
        try:
            told = (record.folder / "status.json").stat().st_mtime
        except OSError:
            return None
        if not status or status["stage"] in ("done", "failed") or told < self.began:
            return None
        return {**status, "silent": time.time() - told}


@contextmanager
def periodically(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Calls `look` every so often, in a thread that ends with the context."""
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(seconds):
            look()

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def share(status: dict[str, Any]) -> float:
    """How much of a run is over: training counts for 90 %."""
    if status["stage"] == "training":
        return 0.9 * status["epoch"] / max(1, status["epochs"])
    if status["stage"] == TRAINED:
        return 0.9
    if status["stage"] == "evaluating":
        return 0.9 + 0.1 * status["done"] / max(1, status["of"])
    return 0.0


def describe(status: dict[str, Any]) -> str:
    """How far a run is, and since when nothing was heard of it where that is long ago."""
    silent = 0 if status["stage"] == TRAINED else status.get("silent", 0)  # it waits for a worker
    return stage(status) + (f"; nothing heard for {duration(silent)}" if silent > SILENCE_SECONDS else "")


def stage(status: dict[str, Any]) -> str:
    if status["stage"] == "training":
        losses = "  ".join(f"{name} {value:.2f}" for name, value in named(status["losses"]).items())
        left = status["seconds"] / max(1, status["epoch"]) * (status["epochs"] - status["epoch"])
        return f"epoch {status['epoch']}/{status['epochs']}, {duration(left)} left  {losses}"
    if status["stage"] == "evaluating":
        return f"{status['what']} {status['done']}/{status['of']}"
    return str(status["stage"])


def named(losses: Mapping[str, float]) -> dict[str, float]:
    """By the last part of `player.part`, or by both where several players have a part of that name."""
    last = {key: key.split(".")[-1] for key in losses}
    players = Counter(last.values())
    return {last[key] if players[last[key]] == 1 else key: value for key, value in losses.items()}


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
