"""Types of expressions: fewer than an engine has, so that engines agree about them."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["int", "float", "string", "bool", "date", "datetime", "moment", "interval", "null", "list"]


@dataclass(frozen=True, slots=True)
class Type:
    """A kind, and of lists that of their elements. Integers have 64 bits, moments milliseconds."""

    kind: Kind
    of: "Type | None" = None

    def __str__(self) -> str:
        return f"list of {self.of}s" if self.of else _NAMES[self.kind]

    @property
    def is_number(self) -> bool:
        return self.kind in ("int", "float", "bool")

    @property
    def is_time(self) -> bool:
        return self.kind in ("date", "datetime", "moment")


_NAMES: dict[str, str] = {
    "int": "integer",
    "float": "float",
    "string": "string",
    "bool": "truth value",
    "date": "date",
    "datetime": "time in seconds",
    "moment": "time in milliseconds",
    "interval": "interval",
    "null": "NULL",
    "list": "list",
}

INT = Type("int")
FLOAT = Type("float")
STRING = Type("string")
BOOL = Type("bool")
DATE = Type("date")
DATETIME = Type("datetime")
MOMENT = Type("moment")
INTERVAL = Type("interval")
NULL = Type("null")


def listed(of: Type) -> Type:
    """A list of that type."""
    return Type("list", of)


def united(types: list[Type]) -> Type | None:
    """The type that values of all `types` can have, `None` if there is none."""
    kinds = {type_ for type_ in types if type_ != NULL}
    if not kinds:
        return NULL
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= {INT, FLOAT, BOOL}:
        return FLOAT if FLOAT in kinds else INT
    if kinds <= {DATETIME, MOMENT}:
        return MOMENT
    return None
