"""Statistics: intervals, paired tests, sequential decisions and change points; pure functions on numbers."""
