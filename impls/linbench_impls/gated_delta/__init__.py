"""Gated DeltaNet: the delta rule with one gate per head (Yang et al. 2024)."""
