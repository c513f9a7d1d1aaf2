"""The command line: one file a noun. Importing it is cheap; what a command needs, the command imports."""

import sys


def main() -> None:
    """Run the command that the process was started with, and exit: 0 done, 1 refused, 2 asked wrongly."""
    from latchwork.cli.program import run

    sys.exit(run(sys.argv[1:]))
