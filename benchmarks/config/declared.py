"""The parts that the project's own files register, read from these and not imported.

`list` prints names and lines, and importing the modules that define them would take seconds. What it prints is what the
registries say once they are imported: a test compares the two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

HOME = Path(__file__).parents[2]
"""The folder that the packages lie in."""

Definition = ast.ClassDef | ast.FunctionDef


def declared(folder: str, *decorators: str) -> dict[str, str]:
    """Summaries by name of the parts that one of these decorators registers in the folder, in the order of its files.

    >>> declared("priors", "register")["gaussian"]
    'Standard normal N(0, I): nothing is learned (Kingma and Welling 2014).'
    """
    files = sorted((HOME / folder).glob("*.py"))
    trees = (ast.parse(path.read_bytes()) for path in files)
    return {name: line for tree in trees for name, line in registered(tree, decorators)}


def registered(tree: ast.Module, decorators: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and summary of each part of a file. A second argument without a keyword is the summary."""
    texts = constants(tree)
    for node in (node for node in tree.body if isinstance(node, Definition)):
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) in decorators:
                name, *summary = (texts[one.id] if isinstance(one, ast.Name) else text(one) for one in call.args)
                yield name, summary[0] if summary else first_line(ast.get_docstring(node))


def constants(tree: ast.Module) -> dict[str, str]:
    """The file's own texts by name: several functions of it may say the name of a part."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def text(node: ast.expr) -> str:
    """The text that a constant expression is."""
    return str(ast.literal_eval(node))


def first_line(docstring: str | None) -> str:
    """What a docstring begins with; nothing where there is none."""
    return (docstring or "").strip().partition("\n")[0]
