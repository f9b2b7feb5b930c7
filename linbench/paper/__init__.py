"""Figures, tables and text for a paper or a talk, from stored runs."""
