"""TransNormer's NormAttention: linear attention with a norm instead of a denominator (Qin et al. 2022)."""
