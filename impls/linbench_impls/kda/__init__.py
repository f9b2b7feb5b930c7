"""Kimi delta attention: the delta rule behind a gate for each dimension of a key (Kimi Team 2025)."""
