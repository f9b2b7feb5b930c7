"""RWKV-7: a diagonal transition with a generalised delta rule (Peng et al. 2025)."""
