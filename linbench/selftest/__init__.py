"""Faults planted to see them caught."""
