"""Ways to carry out a list of runs. An executor yields outcomes as they come and knows nothing of what a run is."""

from benchmarks.executors.base import EXECUTORS, Executor
from benchmarks.executors.local import local
from benchmarks.executors.serial import serial

__all__ = ["EXECUTORS", "Executor", "local", "serial"]
