"""What a course of events that goes wrong is told by."""


class Violation(AssertionError):
    """Something was not true that must be."""
