"""What any operator may be made of: chunks, scans, transitions, costs, and how a form is registered."""
