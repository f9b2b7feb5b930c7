"""Statistics: intervals, paired tests, looks and change points: pure functions on numbers."""
