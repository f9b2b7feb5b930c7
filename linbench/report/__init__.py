"""The report: a pure function of a run, from its measurements to one page that works offline."""
