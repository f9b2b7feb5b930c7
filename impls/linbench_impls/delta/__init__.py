"""DeltaNet: a state that each token corrects (Schlag et al. 2021, Yang et al. 2024)."""
