"""Performer: positive random features for the softmax kernel (Choromanski et al. 2020)."""
