"""Measurements of speed and memory, to be run by hand: never part of a test."""

EIGH, EIGVALSH = 9, 4 / 3
"""Operations over F^3 of a symmetric matrix's eigenvalues with and without vectors (Golub and Van Loan, 8.3)."""
