"""Runs as tables: read from their records, averaged over seeds, compared, written, and shown."""
