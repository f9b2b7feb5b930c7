"""From a plan to measurements: workers are processes, and whatever ends one becomes a row."""
