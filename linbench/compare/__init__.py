"""Two versions compared: paired turns, what they say of a difference, and the history of a case."""
