"""Sliding-window attention: softmax over the last w keys (Beltagy et al. 2020)."""
