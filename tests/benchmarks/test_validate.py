"""`run validate` refuses what a run refuses before it begins, and what a suite sets in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.run import main
from workbench import TINY, Workbench

PART = "[prior.vampprior]"

MISTAKES = {  # by what is wrong: a line of the suite, another in its place, and words of the message
    "missing folder": ('["onehot"]', '["folder:none"]', ["'folder:none'", "is not a folder"]),
    "empty folder": ('["onehot"]', '["folder:EMPTY"]', ["0 images"]),
    "size": ("images = 20", "images = 20\nsize = 16", ["protocol.size"]),
    "unbounded data": ('["onehot"]', '["gaussian"]', ["bernoulli likelihood needs x in [0, 1]"]),
    "backbone": ("widths = [8]", 'widths = [8]\nbackbone = "conv"', ["conv backbone needs images"]),
    "unused prior's key": (
        PART,
        f"[prior.mixture]\ncomponent = 3\n{PART}",
        ["'component'", "Did you mean 'components'"],
    ),
    "unused prior's value": (PART, f'[prior.mixture]\ncomponents = "many"\n{PART}', ["components = 'many'"]),
    "unused regulariser": (PART, f"[regulariser.beta]\nbetta = 2\n{PART}", ["'betta'", "Did you mean 'beta'"]),
    "unused method's prior": (PART, f"[method.dp.prior.dpflow]\nfoo = 2\n{PART}", ["'foo'"]),
    "unused method's model": (PART, f"[method.dp.model]\nwidth = 2\n{PART}", ["'width'", "Did you mean 'widths'"]),
    "preset's unused prior": ("training.epochs = 1", "prior.mixture.foo = 1", ["'foo'"]),
    "preset's seeds": ("training.epochs = 1", "seeds = [1, 1]", ["names 1 twice"]),
    "paper": (PART, f'[published]\npaper = "iopp"\ntable = "2"\nfigures.nll = "is-10"\n{PART}', ["Did you mean 'iop'"]),
    "method twice": ('"vampprior"]', '"gaussian"]', ["methods", "names 'gaussian' twice"]),
    "seed twice": ("seeds = 1", "seeds = [1, 1]", ["seeds", "names 1 twice"]),
    "data set twice": ('["onehot"]', '["onehot", "onehot"]', ["datasets", "names 'onehot' twice"]),
    "metric twice": ('["nll"]', '["nll", "nll"]', ["metrics", "names 'nll' twice"]),
    "no list": ('["onehot"]', '"onehot"', ["datasets = 'onehot'", "it is a list"]),
    "list in a list": ('["onehot"]', '[["onehot"]]', ["datasets.0"]),
    "number for a name": ('["nll"]', "[1]", ["metrics.0 = 1"]),
}


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    return Workbench(tmp_path, capsys)


@pytest.mark.parametrize(("line", "instead", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(line: str, instead: str, words: list[str], bench: Workbench):
    assert line in TINY
    answer = bench.ask(main, "validate", bench.suite(TINY.replace(line, instead)))
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err


def test_files_are_looked_at_where_their_folder_is_given(bench: Workbench):
    path = bench.suite(TINY.replace('["onehot"]', '["mnist"]'))
    answer = bench.ask(main, "validate", path)
    assert (answer.status, answer.out) == (0, f"{path}: fine, 2 runs (without --data not looked at: mnist)\n")
    answer = bench.ask(main, "validate", path, "--data", str(bench.folder))
    assert answer.status == 2
    assert "which is missing" in answer.err


@pytest.mark.usefixtures("own_parts")
def test_parts_of_plug_ins_are_known(bench: Workbench):
    text = """
from priors import register
from priors.gaussian import Gaussian

@register("normal-too")
class Normal(Gaussian):
    \"\"\"The same.\"\"\"
"""
    plugin = bench.write("mine.py", text)
    path = bench.suite(TINY.replace('"vampprior"]', '"normal-too"]'))
    assert bench.ask(main, "validate", path).status == 2
    assert bench.ask(main, "validate", path, "--plugin", str(plugin)).out.endswith("fine, 2 runs\n")
