"""The file that a prior of one's own begins with: a small law that keeps every law of the contract."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

from benchmarks.common.errors import UsageError, cut
from benchmarks.common.files import write_atomically
from benchmarks.common.names import check_flag
from benchmarks.common.started import program
from benchmarks.config import methods
from priors.registry import NAME

TEXT = Path(__file__).with_name("beginning.py.txt")


def begin(name: str, folder: Path) -> Path:
    """Writes NAME.py into the folder. UsageError for a name that a prior cannot have or has, and for a file that is
    there."""
    check_name(name)
    path = folder / f"{name}.py"
    if path.exists():
        raise UsageError(f"{path} is there already and stays as it is: take another name, or move it away.")
    text = Template(TEXT.read_text(encoding="utf-8")).substitute(name=name, kind=kind_of(name))
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def check_name(name: str) -> None:
    """UsageError where no prior can have the name, or a method of the project has it."""
    check_flag("--new", name)
    if not NAME.fullmatch(name):
        raise UsageError(f"--new {cut(name)}: a prior's name begins with a letter or a digit and has 80 at most.")
    if name in methods.available():
        raise UsageError(f"--new {name}: a method of the project has this name; take another.")


def kind_of(name: str) -> str:
    """What the class is called.

    >>> kind_of("my-law.2"), kind_of("2nd"), kind_of("none")
    ('MyLaw2', 'Law2nd', 'LawNone')
    """
    words = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", name))
    plain = words.isidentifier() and not keyword.iskeyword(words) and words not in ("Density", "Float")
    return words if plain else f"Law{words}"


def next_steps(path: Path, name: str) -> Iterator[str]:
    """What to do with the file, a line each."""
    file = shlex.quote(str(path))
    yield f"{path}: Student's t, which keeps every law. Make it yours, then:"
    steps = (
        ("try its laws", f"conformance --plugin {file}"),
        ("compare it", f"run --suite quickstart --method gaussian {name} --plugin {file}"),
        ("submit it", f"submit --suite quickstart --plugin {file}"),
    )
    for what, rest in steps:
        command, _, flags = rest.partition(" ")
        yield f"  {what + ':':14} {program(command)} {flags}"
    yield "docs/add-a-prior.md has the contract, docs/submit.md how a prior is submitted."
