"""The reference page: any OpenAPI 3.1 document as one readable page, rendered here, needing no network.

It works without scripts; with them, procedures can be filtered and examples copied.
"""

from latchwork.surfaces.reference.application import Reference, ReferenceDocument
from latchwork.surfaces.reference.errors import ErrorKind, Meaning, markdown

__all__ = ["ErrorKind", "Meaning", "Reference", "ReferenceDocument", "markdown"]
