"""Profiling: where the time and the memory of a call go, always separate from timing."""
