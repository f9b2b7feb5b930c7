"""Figures, tables and words for a paper or a talk, from stored runs."""
