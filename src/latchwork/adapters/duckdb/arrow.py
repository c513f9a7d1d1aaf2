"""Batches as Arrow tables, which DuckDB reads where they lie."""

from typing import Any

from latchwork.domains.analytics import BadBatch
from latchwork.domains.analytics.batches import TABLES, Table
from latchwork.domains.analytics.columns import Column, Kind


def arrow(name: str, table: Table) -> Any:
    """The rows of one of the `TABLES`; raises `BadBatch` where columns are shorter than they should be."""
    import nanoarrow

    types = {"byte": nanoarrow.uint8(), "number": nanoarrow.int64(), "text": nanoarrow.string()}
    columns = {
        column: _array(types[kind], table.rows, table.columns.get(column, _nothing(kind)))
        for column, kind in TABLES[name].items()
    }
    schema = nanoarrow.struct({column: array.schema for column, array in columns.items()})
    return nanoarrow.Array(
        nanoarrow.c_array_from_buffers(schema, table.rows, [None], children=list(columns.values()))
    )


def _array(type_: Any, rows: int, column: Column) -> Any:
    import nanoarrow

    buffers = [None, column.ends, column.data] if column.kind == "text" else [None, column.data]
    try:
        return nanoarrow.c_array_from_buffers(type_, rows, buffers)
    except RuntimeError as error:
        raise BadBatch(str(error)) from error


def _nothing(kind: Kind) -> Column:
    return Column(kind, b"", bytes(4))
