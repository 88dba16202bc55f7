"""Ways to carry out a list of runs. An executor yields outcomes as they come and knows nothing of what a run is."""

from benchmarks.runner.executors.base import EXECUTORS, Executor
from benchmarks.runner.executors.local import local
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.executors.serial import serial

__all__ = ["EXECUTORS", "Executor", "Resources", "local", "serial"]
