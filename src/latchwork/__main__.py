"""`python -m latchwork` is `latchwork`."""

from latchwork.cli import main

main()
