"""Self-tests of the harness: planted faults, identical code on both sides, and injected slowdowns."""

EXTRA_CHUNKS = (0, 1, 2, 3, 5, 10)  # per hundred chunks: the injected slowdowns in percent
NAP_S = 10_000_000  # plus the process id of the run: how long the leftover child process sleeps
