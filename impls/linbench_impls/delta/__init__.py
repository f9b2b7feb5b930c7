"""DeltaNet: each token corrects the state (Schlag et al. 2021, Yang et al. 2024)."""
