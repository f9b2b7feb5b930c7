"""How a worker calls, times and checks one implementation, and measures its memory; imports torch."""
