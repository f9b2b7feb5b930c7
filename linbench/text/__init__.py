"""Text: numbers, sizes and durations as people read them, and texts escaped for where they go."""
