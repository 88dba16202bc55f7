"""What a program or a notebook imports: a suite's table, a finished run, and a prior trained on a tensor.

Mistakes are UsageError, DataError or PluginError, all of them ValueErrors of one sentence with the fix.
"""

from benchmarks.api.finished import load_run
from benchmarks.api.suites import run_suite
from benchmarks.api.trained import Trained
from benchmarks.api.training import train
from benchmarks.runner.executors import Resources

__all__ = ["Resources", "Trained", "load_run", "run_suite", "train"]
