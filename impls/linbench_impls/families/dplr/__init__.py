"""Operators with a diagonal plus low-rank transition (DPLR)."""
