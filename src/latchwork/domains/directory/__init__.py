"""The directory of keys: what finding and ordering them needs beside the keys themselves.

Of every key that is not deleted it knows when it was last used, and a text that searches look into.
"""

from latchwork.domains.directory.last_use import LastUse

__all__ = ["LastUse"]
