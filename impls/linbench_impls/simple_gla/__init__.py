"""Linear attention with one scalar gate per head and step (Dao and Gu 2024)."""
