"""Shared parts of operators: chunks, scans, transitions, costs, and the registration of a form."""
