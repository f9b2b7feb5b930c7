"""What operators share whose state decays by one factor a head: oracle, costs and implementations."""
