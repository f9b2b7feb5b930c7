"""Hedgehog: softmax over learned features, in the form of LoLCATs (Zhang et al. 2024)."""
