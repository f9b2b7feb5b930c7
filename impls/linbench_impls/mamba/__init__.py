"""Mamba: the selective scan of S6 (Gu and Dao 2023)."""
