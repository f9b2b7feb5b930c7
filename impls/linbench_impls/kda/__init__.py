"""Kimi delta attention: the delta rule with one gate per key dimension (Kimi Team 2025)."""
