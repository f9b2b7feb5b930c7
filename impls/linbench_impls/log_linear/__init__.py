"""Log-linear attention: a state for each level of a Fenwick tree (Guo et al. 2025)."""
