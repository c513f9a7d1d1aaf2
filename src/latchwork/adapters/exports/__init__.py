"""Files of other products, read row by row into what `keys.migrateKeys` takes.

A file is CSV or JSON, and read as it comes: whatever is wrong with one row is told with its line and field, and
the next one is read.
"""

from latchwork.adapters.exports.files import Unreadable
from latchwork.adapters.exports.litellm import Budgets
from latchwork.adapters.exports.rows import KINDS, Flawed, Key, Left, Row, rows_of

__all__ = ["KINDS", "Budgets", "Flawed", "Key", "Left", "Row", "Unreadable", "rows_of"]
