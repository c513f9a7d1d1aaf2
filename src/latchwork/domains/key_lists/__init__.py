"""Lists of keys across APIs: searched, filtered, ordered, page by page, however many keys there are."""

from latchwork.domains.key_lists.records import KeyQuery, Sort
from latchwork.domains.key_lists.service import KeyLists

__all__ = ["KeyLists", "KeyQuery", "Sort"]
