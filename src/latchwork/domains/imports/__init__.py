"""Imports: keys of another product taken over from a file, as a run that can go on where it stopped, or be undone.

A run remembers how many rows of its file are behind it and what became of each, in the same unit of work as
the keys themselves: whatever interrupts it, no row is taken twice.
"""

from latchwork.domains.imports.faults import RunMoved, RunNotFound
from latchwork.domains.imports.records import (
    Created,
    Flaw,
    Offered,
    Outcome,
    Passed,
    Preview,
    Result,
    Row,
    Run,
    RunState,
    Source,
)
from latchwork.domains.imports.service import Imports, portions_of

__all__ = [
    "Created",
    "Flaw",
    "Imports",
    "Offered",
    "Outcome",
    "Passed",
    "Preview",
    "Result",
    "Row",
    "Run",
    "RunMoved",
    "RunNotFound",
    "RunState",
    "Source",
    "portions_of",
]
