"""The nine words that everything else is built from; importing it imports no torch."""
