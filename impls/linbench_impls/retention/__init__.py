"""Retention: a fixed decay a head (Sun et al. 2023)."""
