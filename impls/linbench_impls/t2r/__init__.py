"""T2R: features from a learned projection and a ReLU (Kasai et al. 2021)."""
