"""`python -m linbench`."""

from linbench.cli import main

main()
