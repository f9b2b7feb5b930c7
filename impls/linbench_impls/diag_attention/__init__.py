"""TransNormer's DiagAttention: softmax in blocks on the diagonal (Qin et al. 2022)."""
