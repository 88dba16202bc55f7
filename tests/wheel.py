"""The installed project by itself: `tox -e wheel` runs this where only the wheel is installed, in an empty folder.

The folder gets packages of the same names as the project's, which raise when they are imported. From there the smoke
suite is run in two processes and reported on, as a page and as a site, so that all files beside the modules are shown
to be in the wheel.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd

import benchmarks

SCRIPT = Path(sysconfig.get_path("scripts")) / "priorbench"


def main() -> None:
    """Ends with an error where anything of it fails."""
    home, here = Path(benchmarks.__file__).parents[1], Path.cwd()
    if home != Path(sysconfig.get_path("purelib")):
        sys.exit(f"The project is taken from {home}, not from the wheel.")
    for name in ("benchmarks", "models", "priors"):
        (here / name).mkdir(exist_ok=True)
        (here / name / "__init__.py").write_text("raise RuntimeError('a package of the same name')", encoding="utf-8")
    site = ["report", "--site", "site", "--results", "results"]
    for command in (["--version"], ["run", "--suite", "smoke", "--workers", "2"], ["report", "--suite", "smoke"], site):
        subprocess.run([SCRIPT, *command], check=True)
    table = pd.read_csv(here / "results" / "smoke.csv")
    there = [(here / page).is_file() for page in ("results/smoke.html", "site/index.html")]
    if not all(there) or (table["status"] == "ok").sum() == 0:
        sys.exit("The smoke suite has left no figures.")
    print(f"The wheel works: {len(table)} rows.")


if __name__ == "__main__":
    main()
