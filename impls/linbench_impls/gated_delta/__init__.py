"""Gated DeltaNet: the delta rule behind a gate a head (Yang et al. 2024)."""
