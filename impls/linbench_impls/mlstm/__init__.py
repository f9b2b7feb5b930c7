"""mLSTM: a matrix memory with exponential input gates (Beck et al. 2024)."""
