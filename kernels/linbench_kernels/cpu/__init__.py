"""C++ kernels for the CPU, compiled on first use, by the machine's compiler, for its vector instructions."""
