"""Measurements of speed and memory, to be run by hand: never part of a test."""
