"""Linear attention whose state decays by one factor a head."""
