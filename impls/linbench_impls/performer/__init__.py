"""Performer: positive random features of the softmax kernel (Choromanski et al. 2020)."""
