"""Column types and the one `MetaData` that every domain's tables belong to."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Bytewise order on both databases: cursors and ids compare as bytes, whatever the server's locale.
Id = String(255).with_variant(String(255, collation="C"), "postgresql")
Words = Text().with_variant(Text(collation="C"), "postgresql")
Millis = BigInteger()
Amount = BigInteger()
Digest = LargeBinary(32)
Sequence = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows only in an INTEGER key


class Json(TypeDecorator[Any]):
    """A JSON value kept as the text it was given, so that what comes out is what went in."""

    impl = Words
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)
