"""Causal softmax attention (Vaswani et al. 2017)."""
