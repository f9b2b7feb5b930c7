"""T2R: a learned projection under relu (Kasai et al. 2021)."""
