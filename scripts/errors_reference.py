"""Prints docs/reference/errors.md: every code with what it stands for, made from the faults themselves."""

import sys

from latchwork.compose.errors import error_kinds
from latchwork.compose.surfaces import ADMISSION_FAULTS, FAMILIES
from latchwork.surfaces.reference import markdown

if __name__ == "__main__":
    sys.stdout.write(markdown(error_kinds(FAMILIES, ADMISSION_FAULTS)))
