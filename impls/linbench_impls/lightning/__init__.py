"""Lightning attention: a fixed decay a head and layer (Qin et al. 2023)."""
