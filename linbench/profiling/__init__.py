"""Profiling: where the time and the bytes of a call go, always apart from timing."""
