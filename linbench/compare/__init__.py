"""Comparison of two versions: paired turns, the decision on each case, and the history of a case."""
