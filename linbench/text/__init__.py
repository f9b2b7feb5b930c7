"""Text: numbers, sizes and durations in readable form, and text escaped for its destination."""
