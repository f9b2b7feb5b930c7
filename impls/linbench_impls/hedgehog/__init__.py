"""Hedgehog: softmax over learned features, as defined in LoLCATs (Zhang et al. 2024)."""
