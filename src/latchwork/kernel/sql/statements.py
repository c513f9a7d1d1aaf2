"""Statements that are built once: to build one takes five times as long as to run it on a small table."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Update, bindparam, update

OF = "of_"
"""The parameter by which `updating` names the row."""


def updating(key: Column[Any], names: Iterable[str]) -> Update:
    """An UPDATE of the columns `names` in the row whose `key` is the parameter `OF`."""
    return _updating(key, tuple(names))


@lru_cache(maxsize=512)
def _updating(key: Column[Any], names: tuple[str, ...]) -> Update:
    return update(key.table).where(key == bindparam(OF)).values({name: bindparam(name) for name in names})


def among(column: Column[Any]) -> Any:
    """`column IN (…)`, the values being the parameter `among`."""
    return column.in_(bindparam("among", expanding=True))
