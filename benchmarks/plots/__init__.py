"""Figures of a suite, drawn from what its finished runs have left: a kind of figure a file, known by name in PLOTS."""
