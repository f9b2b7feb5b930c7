"""Mathematics that several operators share, and how a form of it becomes an implementation."""
