"""Kernels of other libraries: the cases they support, and how to call them."""
