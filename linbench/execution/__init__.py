"""Execution: worker processes measure the jobs of a plan, and every job becomes a row, whatever happens."""
