"""The harness: suites of runs, the training loop, metrics, tables. Start with `benchmarks.run`."""
