"""Runs as tables: read from their records, averaged over seeds, compared, written, and shown."""

LEVEL = 0.01
"""Probability that a check of an unchanged suite finds a change."""
