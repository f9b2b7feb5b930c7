"""Gated linear attention: a gate for each dimension of a key (Yang et al. 2023)."""
