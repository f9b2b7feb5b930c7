"""What operators share whose transition is diagonal plus low rank: rules and implementations."""
