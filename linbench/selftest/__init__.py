"""Faults planted to see them caught."""

NAP_S = 10_000_000  # what the child that is left running sleeps, plus the number of its run's process
