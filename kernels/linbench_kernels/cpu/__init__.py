"""C++ kernels for the CPU, compiled on first use by the local compiler for this CPU's vector instructions."""
