"""The harness: suites of runs, the training loop, metrics, tables.

From a shell start with `priorbench run`, from Python with what this package offers:

    from benchmarks import load_run, run_suite, train

These are imported when they are first asked for, so that `import benchmarks` needs neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.common.shadow import refuse_foreign
from benchmarks.common.stopping import be_ready

be_ready()  # before all that takes seconds to import
refuse_foreign()  # before any of ours imports `priors` or `models`

if TYPE_CHECKING:
    from benchmarks.api import Resources, Trained, load_run, run_suite, train

__all__ = ["Resources", "Trained", "load_run", "run_suite", "train"]


def __getattr__(name: str) -> Any:
    """What a user imports, from the room `api`."""
    if name in __all__:
        return getattr(import_module("benchmarks.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
