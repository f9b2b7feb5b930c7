"""The harness tried: faults planted to see them caught, and the same code measured on two sides."""

NAP_S = 10_000_000  # what the child that is left running sleeps, plus the number of its run's process
