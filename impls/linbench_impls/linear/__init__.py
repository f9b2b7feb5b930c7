"""Causal linear attention (Katharopoulos et al. 2020)."""
