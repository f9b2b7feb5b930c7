"""Lightning attention: one fixed decay per head and layer (Qin et al. 2023)."""
