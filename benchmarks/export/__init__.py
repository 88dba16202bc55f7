"""Finished runs for other tools: trackers of experiments, model hubs, and tables as columns."""
