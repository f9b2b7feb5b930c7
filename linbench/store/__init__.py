"""The append-only database of runs: a SQLite file, or PostgreSQL by URL."""

DEFAULT_DB = "results/linbench.db"
