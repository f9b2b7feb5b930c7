"""Operators whose transition is diagonal plus low rank (DPLR)."""
