"""`run list`: sections, one entry in full, and the papers as BibTeX."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.config import catalogue, methods, papers
from benchmarks.config.published import numbers
from benchmarks.run import main
from workbench import Workbench

WORDS = {title.partition(" (")[0].replace(" ", ""): title for title in catalogue.everything()}


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workbench:
    return Workbench(tmp_path, capsys)


@pytest.mark.long
@pytest.mark.parametrize("word", WORDS)
def test_a_section_alone_and_every_entry_in_full(word: str, bench: Workbench):
    names = [*catalogue.everything()[WORDS[word]]]
    answer = bench.ask(main, "list", word)
    assert answer.status == 0
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == names
    for name in names:
        told = bench.ask(main, "list", word, name)
        assert told.status == 0
        assert told.out.startswith(f"{name}\n  ")


def test_a_prior_in_full(bench: Workbench):
    told = bench.ask(main, "list", "priors", "vampprior").out
    assert "p(z) = 1/K sum_k q(z | u_k)" in told
    assert "components: int = 500; searched in Int(low=10, high=2000, log=True)" in told
    assert "ln p(z): exact" in told
    assert "VAE with a VampPrior" in told


@pytest.mark.parametrize(
    ("words", "near"),
    [(("prios",), "priors"), (("priors", "vamp"), "vampprior"), (("papers", "VAEP"), "VAEPP")],
)
def test_near_names(words: tuple[str, ...], near: str, bench: Workbench):
    answer = bench.ask(main, "list", *words)
    assert answer.status == 2
    assert f"Did you mean '{near}'" in answer.err


def test_papers_are_valid_bibtex(bench: Workbench):
    """Braces that close, keys that are unique, and a title each."""
    out = bench.ask(main, "list", "papers").out
    entries = re.findall(r"^@misc\{([\w-]+),\n((?:  \w+ = \{.+\},\n)+)\}$", out, re.MULTILINE)
    assert len(entries) == len({key for key, _ in entries}) == len(papers.papers()) == out.count("@")
    for _, fields in entries:
        assert "title = {" in fields
        assert fields.count("{") == fields.count("}")


def test_every_paper_with_numbers_and_nearly_every_source_is_spelled_out():
    for name in {*numbers()["paper"]}:
        assert [*papers.named_in(name)], name
    unknown = {one.source for one in methods.catalogue().values() if one.source and not [*papers.named_in(one.source)]}
    assert unknown <= {"Papamakarios et al. 2017"}, "whose title the project's texts do not give"


@pytest.mark.usefixtures("own_parts")
def test_parts_of_plug_ins_are_listed(bench: Workbench):
    text = '''
from priors import register
from priors.gaussian import Gaussian

@register("normal-too")
class Normal(Gaussian):
    """The same once more."""
'''
    plugin = str(bench.write("mine.py", text))
    assert "normal-too" not in bench.ask(main, "list", "priors").out
    assert "The same once more." in bench.ask(main, "list", "priors", "--plugin", plugin).out
    assert bench.ask(main, "list", "priors", "normal-too", "--plugin", plugin).status == 0
