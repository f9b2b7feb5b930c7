"""Linear attention with a state that decays by one factor per head."""
