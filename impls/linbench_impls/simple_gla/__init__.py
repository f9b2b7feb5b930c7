"""Linear attention with a scalar gate a head and step (Dao and Gu 2024)."""
