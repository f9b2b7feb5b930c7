"""The harness tried: faults planted to see them caught, and the same code measured on two sides."""

EXTRA_CHUNKS = (0, 1, 2, 3, 5, 10)  # of a hundred: the slowdowns of the slowdowns, percent
NAP_S = 10_000_000  # what the child that is left running sleeps, plus the number of its run's process
