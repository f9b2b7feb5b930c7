"""Operators with a local softmax, over nearby keys only: forms, reference and costs."""
