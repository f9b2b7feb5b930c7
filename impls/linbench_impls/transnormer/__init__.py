"""TransNormer's NormAttention: linear attention under a norm instead of a denominator (Qin et al. 2022)."""
