"""Forty mistakes of a new user: each ends with one sentence that says the fix, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from benchmarks import check, conformance, run, tune
from benchmarks.plots import __main__ as plots
from benchmarks.report import __main__ as report
from benchmarks.speed import priors
from workbench import TINY, Workbench, write

PLUGIN = """
import torch
from priors import Density, DiagonalNormal, register

@register("mine")
class Mine(Density):
    "One normal."

    def __init__(self, host{settings}):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(host.latent_dim))
        {building}

    def sample(self, n):
        return DiagonalNormal(self.mean, self.mean * 0).sample((n,))

    def log_prob(self, z):
        return DiagonalNormal(self.mean, self.mean * 0).log_prob(z)
"""


def plugin(settings: str = "", building: str = "") -> str:
    return PLUGIN.format(settings=settings, building=building)


PLUGINS = {
    "typo.py": "import torhc\n",
    "syntax.py": "def prior(:\n",
    "silent.py": "x = 1\n",
    "exits.py": "import sys\nsys.exit(0)\n",
    "taken.py": plugin().replace('"mine"', '"gaussian"'),
    "function.py": 'from priors import register\n\n@register("mine")\ndef mine(host):\n    return 0\n',
    "abstract.py": 'from priors import Prior, register\n\n@register("mine")\nclass Mine(Prior):\n    "None."\n',
    "bare.py": plugin(settings=", *, spread=1.0"),
    "needed.py": plugin(settings=", *, spread: float"),
    "shapes.py": plugin(building="torch.zeros(3) + torch.zeros(4)"),
    "mine.txt": plugin(),
}

SUITES = {
    "broken.toml": 'title = "x',
    "key.toml": TINY.replace("[training]\nepochs", "[training]\nepoch"),
    "type.toml": TINY.replace("epochs = 2", 'epochs = "many"'),
    "empty.toml": "",
    "nometric.toml": TINY.replace('["nll"]', '["nnl"]'),
    "flat.toml": TINY.replace('"onehot"', '"folder:flat"'),
    "nofolder.toml": TINY.replace('"onehot"', '"folder:nowhere"'),
    "few.toml": TINY.replace('"onehot"', '"folder:few"'),
    "sizes.toml": TINY.replace('"onehot"', '"folder:sizes"'),
    "unreadable.toml": TINY.replace('"onehot"', '"folder:unreadable"'),
    "labels.toml": TINY.replace('"onehot"', '"folder:labels"'),
    "one-class.toml": TINY.replace('"onehot"', '"folder:one-class"'),
}


def image(path: Path, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side), 8 * side, dtype=np.uint8)).save(path)


def fill(folder: Path) -> None:
    """All that the mistakes are made with."""
    for name, text in (PLUGINS | SUITES).items():
        write(folder / name, text)
    for name in ("sizes", "unreadable", "labels", "one-class"):
        for i in range(12):
            image(folder / name / f"{i:02}.png")
    image(folder / "few" / "0.png")
    image(folder / "sizes" / "12.png", side=9)
    write(folder / "unreadable" / "12.png", "no image")
    write(folder / "labels" / "labels.csv", "file,label\nnowhere.png,a\n")
    rows = "".join(f"{i:02}.png,a\n" for i in range(12))
    write(folder / "one-class" / "labels.csv", f"file,label\n{rows}")
    write(folder / "a-file", "")
    write(folder / "table.csv", "a,b\n1,2\n")


class Mistake(NamedTuple):
    """What is typed, and words of the sentence that answers it."""

    command: Callable[..., int]
    typed: str
    words: Sequence[str]
    status: int = 2


TINY_RUN = "--suite tiny.toml --executor serial"

MISTAKES = {
    # run
    "a flag misspelt": Mistake(run.main, "--suite tiny.toml --dataste onehot", ["--dataste", "--dataset"]),
    "no suite": Mistake(run.main, "", ["--suite NAME must be given", "--help"]),
    "a flag without its value": Mistake(run.main, "--suite tiny.toml --seeds --workers 1", ["--seeds has no value"]),
    "a seed that is no number": Mistake(run.main, "--suite tiny.toml --seeds one", ["--seeds"]),
    "a choice that is none": Mistake(run.main, f"{TINY_RUN} --stale maybe", ["'maybe'", "'keep'", "'rerun'"]),
    "two suites at once": Mistake(run.main, "--suite tiny.toml other.toml", ["other.toml"]),
    "a command misspelt": Mistake(run.main, "lsit", ["Unknown command 'lsit'", "'list'"]),
    "a suite misspelt": Mistake(run.main, "--suite quikstart", ["Unknown suite 'quikstart'", "'quickstart'"]),
    "a suite's file that is not there": Mistake(run.main, "--suite my.toml", ["There is no suite file my.toml"]),
    "a suite that is no TOML": Mistake(run.main, "--suite broken.toml", ["broken.toml is not valid TOML"]),
    "an empty suite": Mistake(run.main, "--suite empty.toml", ["empty.toml", "'title' is missing"]),
    "a setting misspelt": Mistake(run.main, "--suite key.toml", ["Unknown key 'epoch'", "'epochs'"]),
    "a setting of another type": Mistake(run.main, "--suite type.toml", ["epochs = 'many' is not valid"]),
    "an unknown metric": Mistake(run.main, "--suite nometric.toml", ["Unknown metric 'nnl'", "'nll'"]),
    "an unknown method": Mistake(run.main, f"{TINY_RUN} --method vamp", ["Unknown method 'vamp'", "'vampprior'"]),
    "an unknown data set": Mistake(run.main, f"{TINY_RUN} --dataset mnst", ["Unknown data set 'mnst'", "'mnist'"]),
    "data that are missing": Mistake(run.main, f"{TINY_RUN} --dataset mnist", ["mnist", "--download"]),
    "--set without a section": Mistake(run.main, f"{TINY_RUN} --set epochs=3", ["section.key=value"]),
    "--set of an unknown key": Mistake(run.main, f"{TINY_RUN} --set training.epoch=3", ["'epoch'", "'epochs'"]),
    "--set of a wrong type": Mistake(run.main, f"{TINY_RUN} --set training.lr=fast", ["lr = 'fast'"]),
    "a device that is not there": Mistake(run.main, f"{TINY_RUN} --device cuda:7", ["--device cuda:7", "GPUs"]),
    "a device misspelt": Mistake(run.main, f"{TINY_RUN} --device gpu", ["--device gpu", "use cpu, or auto"]),
    "an unknown executor": Mistake(
        run.main, "--suite tiny.toml --executor slrum", ["Unknown executor 'slrum'", "'slurm'"]
    ),
    "workers below 0": Mistake(run.main, f"{TINY_RUN} --workers -1", ["--workers -1"]),
    "results where a file is": Mistake(run.main, f"{TINY_RUN} --results a-file", ["--results"]),
    "a preset that is not there": Mistake(run.main, f"{TINY_RUN} --preset laptop", ["Unknown preset 'laptop'"]),
    "weights that are not there": Mistake(run.main, f"{TINY_RUN} --inception-weights w.pth", ["w.pth"]),
    # folders
    "a folder that is not there": Mistake(run.main, "--suite nofolder.toml", ["nowhere is not a folder"]),
    "a folder of one image": Mistake(run.main, "--suite few.toml", ["has 1 images", "at least 10"]),
    "images of two sizes": Mistake(run.main, "--suite sizes.toml", ["9 x 9", "8 x 8", "protocol.size=32"]),
    "a file that is no image": Mistake(run.main, "--suite unreadable.toml", ["12.png cannot be read", "replace it"]),
    "labels of a missing file": Mistake(run.main, "--suite labels.toml", ["names nowhere.png", "take its row away"]),
    "labels of one class": Mistake(run.main, "--suite one-class.toml", ["one class only", "take the file away"]),
    # plug-ins
    "a plug-in that is not there": Mistake(run.main, f"{TINY_RUN} --plugin p.py", ["p.py does not exist"]),
    "a plug-in with a typing error": Mistake(run.main, f"{TINY_RUN} --plugin syntax.py", ["syntax.py", "SyntaxError"]),
    "a plug-in that imports what is not there": Mistake(
        conformance.main, "--plugin typo.py", ["No module named 'torhc'"]
    ),
    "a plug-in that registers nothing": Mistake(
        tune.main, "--suite tiny.toml --plugin silent.py", ["registers nothing"]
    ),
    "a plug-in that exits": Mistake(run.main, f"{TINY_RUN} --plugin exits.py", ["exits.py fails to import"]),
    "a plug-in with a name that is taken": Mistake(
        check.main, "--suite tiny.toml --plugin taken.py", ["'gaussian'", "take another name"]
    ),
    "a plug-in whose prior is a function": Mistake(
        run.main, f"{TINY_RUN} --plugin function.py", ["a subclass of priors.Prior"]
    ),
    "a prior without sample": Mistake(
        run.main, f"{TINY_RUN} --plugin abstract.py --method mine", ["sample", "conformance"]
    ),
    "a setting without annotation": Mistake(run.main, f"{TINY_RUN} --plugin bare.py --method mine", ["spread: float"]),
    "a setting without default": Mistake(run.main, f"{TINY_RUN} --plugin needed.py --method mine", ["has no default"]),
    "shapes that do not fit": Mistake(
        run.main, f"{TINY_RUN} --plugin shapes.py --method mine", ["shapes.py, line", "conformance"]
    ),
    "a plug-in that is no .py": Mistake(run.main, f"{TINY_RUN} --plugin mine.txt", ["must end in .py"]),
    # tune
    "nothing to tune": Mistake(tune.main, "--suite tiny.toml --method gaussian", ["nothing to tune", "--space"]),
    "a range upside down": Mistake(tune.main, "--suite tiny.toml --space training.lr=1:0", ["LOW < HIGH"]),
    "a range of an unknown setting": Mistake(
        tune.main, "--suite tiny.toml --method vampprior --space training.rate=0.1:1", ["'training.rate'"]
    ),
    "an objective misspelt": Mistake(tune.main, "--suite tiny.toml --objective fid", ["Unknown objective 'fid'"]),
    "no trials": Mistake(tune.main, "--suite tiny.toml --trials 0", ["--trials 0"]),
    "a flag of tune misspelt": Mistake(tune.main, "--suite tiny.toml --trails 3", ["--trails", "--trials"]),
    # check, conformance, plots, report, speed
    "no baseline": Mistake(check.main, "--suite tiny.toml --baseline none.csv", ["none.csv", "--update"]),
    "a baseline that is no table": Mistake(check.main, "--suite tiny.toml --baseline table.csv", ["table.csv"]),
    "a level above 1": Mistake(check.main, "--suite tiny.toml --level 5", ["--level 5"]),
    "nothing to try": Mistake(conformance.main, "", ["Nothing to try", "--plugin FILE"]),
    "a prior misspelt": Mistake(conformance.main, "--prior vampprio", ["Unknown prior 'vampprio'", "'vampprior'"]),
    "a setting of another prior": Mistake(
        conformance.main, "--prior gaussian --set prior.mixture.components=3", ["'mixture'"]
    ),
    "plots before a run": Mistake(plots.main, "--suite tiny.toml", ["tiny", "run"]),
    "a figure misspelt": Mistake(plots.main, "--suite tiny.toml --figure sampels", ["'sampels'", "'samples'"]),
    "a report before a run": Mistake(report.main, "--suite tiny.toml", ["tiny.csv", "run"]),
    "a table misspelt": Mistake(run.main, "table --suite tniy", ["tniy.csv"]),
    "speed without data": Mistake(priors.main, "--data nowhere", ["mnist", "missing"]),
}


@pytest.mark.usefixtures("own_parts")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    mistake, bench = MISTAKES[name], Workbench(tmp_path, capsys)
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    answer = bench.ask(mistake.command, *mistake.typed.split())
    assert (answer.status, answer.err.count("\n")) == (mistake.status, 1), answer
    assert answer.err.startswith("error: ")
    assert answer.err.endswith(".\n"), "a sentence ends"
    assert len(answer.err) < 800, "one sentence is read, with the names that there are"
    for word in mistake.words:
        assert word in answer.err
    assert "Traceback" not in answer.out + answer.err
    after = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    assert {path for path in after - before if path.is_file()} == set(), "nothing is written"


def test_there_are_forty():
    assert len(MISTAKES) >= 40
