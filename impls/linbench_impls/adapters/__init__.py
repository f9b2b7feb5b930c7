"""Kernels of other libraries: what they take, and how they are called."""
