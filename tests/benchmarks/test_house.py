"""The rule of the house: every module at the top of benchmarks/ is a command, every folder a room, and imports point
down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = (
    ("priors",),
    ("common", "datasets"),
    ("models", "estimators", "features"),
    ("metrics", "statistics"),
    ("config",),
    ("runner",),
    ("tables", "tuning", "cli", "laws"),
    ("plots", "speed", "export", "submissions", "run", "check", "conformance"),
    ("report", "tune", "api", "submit"),
)
"""The ground first. A room imports from the floors below its own and from nothing beside it."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

ENTRANCES = ("__init__", "__main__")
"""What leads to all rooms, each on demand."""

SOURCES = [path for name in ("priors", "models", "benchmarks") for path in sorted((ROOT / name).rglob("*.py"))]


def room_of(module: str) -> str | None:
    """The room that a module is in; None for one of others, and for the entrances."""
    package, *rest = module.split(".")
    if package in ("priors", "models"):
        return package
    return rest[0] if package == "benchmarks" and rest else None


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, in functions too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            own = node.module == "benchmarks"
            yield from (f"benchmarks.{alias.name}" for alias in node.names) if own else (node.module,)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    room = room_of(module)
    if room is None or room in ENTRANCES:
        return
    others = {other for name in imported(path) if (other := room_of(name)) not in (None, room)}
    assert not {other for other in others if FLOOR[other] >= FLOOR[room]}, f"{module} is on floor {FLOOR[room]}"


def test_every_module_at_the_top_is_a_command():
    """It has `main`, and is called as `python -m benchmarks.NAME`; `cli` is what they share."""
    modules = {path.stem: path for path in (ROOT / "benchmarks").glob("*.py") if path.stem not in (*ENTRANCES, "cli")}
    assert set(modules) == {"run", "tune", "check", "conformance", "submit"}
    for path in modules.values():
        functions = {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef)}
        assert "main" in functions, path


def test_no_command_imports_a_command():
    for name in ("run", "tune", "check", "conformance", "submit", "report/__main__", "plots/__main__"):
        path = ROOT / "benchmarks" / f"{name}.py"
        commands = {f"benchmarks.{other}" for other in ("run", "tune", "check", "conformance", "submit")}
        assert not commands & set(imported(path)), path


def test_functions_and_files_are_short():
    """No function is over 45 lines, no file over 400."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 45, f"{path}: {node.name}"
