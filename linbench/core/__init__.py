"""The basic types: operators, cases, measurements and runs; importing them does not import torch."""
