"""Values of records, which are text where the file is CSV and anything where it is JSON."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_TRUE = {"true", "t", "1", "yes", "y"}
_FALSE = {"false", "f", "0", "no", "n"}
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LIMIT = re.compile(r"(?P<name>[^=;]+)=(?P<limit>\d{1,15})/(?P<count>\d{1,12})(?P<unit>ms|[smhdw])")
_MOST_INTEGER = 2**53 - 1


class Wrong(Exception):
    """A field cannot be taken as it is; its name, and one sentence."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field, self.detail = field, detail


class Fields:
    """The fields of one record, by name; empty text and null count as absent."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    def value(self, *names: str) -> tuple[str, Any]:
        """The first of these fields that there is, and its name; `None` if there is none."""
        for name in names:
            found = self._record.get(name)
            if found is not None and found != "":
                return name, found
        return names[0], None

    def text(self, *names: str) -> str | None:
        """Text; a number counts as its digits."""
        name, found = self.value(*names)
        if found is None or isinstance(found, str):
            return found.strip() if found else None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
        raise Wrong(name, "It should be text.")

    def integer(self, *names: str) -> int | None:
        """A whole number from 0 to 2^53 - 1."""
        name, found = self.value(*names)
        if found is None:
            return None
        number = _number(found)
        if number is None or number != int(number) or not 0 <= number <= _MOST_INTEGER:
            raise Wrong(name, "It should be a whole number, 0 or more.")
        return int(number)

    def decimal(self, *names: str) -> float | None:
        """A number that is 0 or more."""
        name, found = self.value(*names)
        if found is None:
            return None
        number = _number(found)
        if number is None or not 0 <= number <= _MOST_INTEGER:
            raise Wrong(name, "It should be a number, 0 or more.")
        return number

    def truth(self, *names: str) -> bool | None:
        """True or false, also as t, yes, 1 and their opposites."""
        name, found = self.value(*names)
        if found is None or isinstance(found, bool):
            return found
        word = str(found).strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise Wrong(name, "It should be true or false.")

    def moment_ms(self, *names: str) -> int | None:
        """A moment: milliseconds since the epoch, or a date, with a time or without, in UTC unless it says."""
        name, found = self.value(*names)
        if found is None:
            return None
        number = _number(found)
        if number is not None:
            return self.integer(name)
        try:
            when = datetime.fromisoformat(str(found).strip())
        except ValueError:
            raise Wrong(name, "It should be a date such as 2030-01-31T12:00:00Z, or milliseconds.") from None
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)

    def json_object(self, *names: str) -> dict[str, Any] | None:
        """A JSON object, also as text; an empty one counts as absent."""
        name, found = self.value(*names)
        if isinstance(found, str):
            found = _decoded(name, found)
        if found is None or found == {}:
            return None
        if not isinstance(found, dict):
            raise Wrong(name, "It should be a JSON object.")
        return found

    def words(self, *names: str) -> list[str]:
        """A list of texts: of JSON, in braces as PostgreSQL writes it, or with semicolons between."""
        name, found = self.value(*names)
        if isinstance(found, str):
            found = _listed(name, found.strip())
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise Wrong(name, "It should be a list of texts.")
        return found

    def limits(self, *names: str) -> list[dict[str, Any]]:
        """Limits that every verification checks, written `requests=100/60s; tokens=5000/1h`."""
        name, _ = self.value(*names)
        found = []
        for each in self.words(*names):
            matched = _LIMIT.fullmatch(each.strip())
            if matched is None:
                raise Wrong(name, "It should be limits such as requests=100/60s, in ms, s, m, h, d or w.")
            duration_ms = int(matched["count"]) * _UNITS_MS[matched["unit"]]
            found.append(limit(matched["name"].strip(), int(matched["limit"]), duration_ms))
        return found

    def below(self, prefix: str) -> dict[str, Any]:
        """The fields whose names begin so, without that beginning."""
        return {
            name.removeprefix(prefix): value
            for name, value in self._record.items()
            if name.startswith(prefix) and value not in (None, "")
        }


def limit(name: str, most: int, duration_ms: int, *, auto_apply: bool = True) -> dict[str, Any]:
    """A limit in the words of the API."""
    return {"name": name, "limit": most, "duration": duration_ms, "autoApply": auto_apply}


def given(**members: Any) -> dict[str, Any]:
    """What there is of a key, in the words of the API."""
    return {name: value for name, value in members.items() if value is not None and value != []}


def _number(found: Any) -> float | int | None:
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return found if math.isfinite(found) else None
    text = str(found).strip()
    if not re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,2})?", text, re.IGNORECASE):
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _decoded(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Wrong(name, "It should be JSON.") from None


def _listed(name: str, text: str) -> Any:
    if text.startswith("["):
        return _decoded(name, text)
    if text.startswith("{") and text.endswith("}"):
        return [each.strip('"') for each in text[1:-1].split(",") if each]
    return [each.strip() for each in text.split(";") if each.strip()]
