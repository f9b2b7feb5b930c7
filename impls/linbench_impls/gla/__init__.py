"""Gated linear attention: one gate per key dimension (Yang et al. 2023)."""
