"""Log-linear attention: one state per level of a Fenwick tree (Guo et al. 2025)."""
