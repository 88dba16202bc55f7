"""The harness: suites of runs, the training loop, metrics, tables. Start with `benchmarks.run`."""

from benchmarks.common.shadow import refuse_foreign

refuse_foreign()  # before any of ours imports `priors` or `models`
