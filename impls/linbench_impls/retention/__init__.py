"""Retention: one fixed decay per head (Sun et al. 2023)."""
