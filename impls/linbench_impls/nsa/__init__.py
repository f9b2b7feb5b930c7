"""Native sparse attention: compressed blocks, selected blocks and a window (Yuan et al. 2025)."""
