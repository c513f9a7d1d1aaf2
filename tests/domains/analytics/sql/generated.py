"""Queries of every allowed kind, made at random: typed, so that most of them can be answered.

Left out is what has no one answer: LIMIT without an order of everything, `any`, sums of floats that are
compared afterwards, integers beyond 64 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.domains.analytics.recordings import HOUR_MS, NOW_MS

INT, FLOAT, STRING, BOOL, DATE, TIME, MOMENT, LIST = (
    *("int", "float", "string", "bool"),
    *("date", "time", "moment", "list"),
)
_EVENTS = {
    "time": INT,
    "request_id": STRING,
    "key_id": STRING,
    "external_id": STRING,
    "outcome": STRING,
    "tags": LIST,
    "spent_credits": INT,
    "latency": FLOAT,
}
_HOURS = {
    "time": TIME,
    "key_id": STRING,
    "external_id": STRING,
    "outcome": STRING,
    "tags": LIST,
    "count": INT,
    "spent_credits": INT,
}
_DAYS = _HOURS | {"time": DATE}
_VERIFICATIONS = {
    "key_verifications_v1": _EVENTS,
    "key_verifications_per_hour_v1": _HOURS,
    "key_verifications_per_day_v1": _DAYS,
}
_LIMITS = {
    "time": INT,
    "request_id": STRING,
    "identifier": STRING,
    "passed": BOOL,
    "override_id": STRING,
    "remaining": INT,
    "tokens": INT,
    "latency": FLOAT,
}
_LIMITS_BY_HOUR = {
    "time": TIME,
    "identifier": STRING,
    "passed": INT,
    "total": INT,
    "passed_tokens": INT,
    "latency_p75": FLOAT,
}
_RATELIMITS = {
    "ratelimits_v1": _LIMITS,
    "ratelimits_per_hour_v1": _LIMITS_BY_HOUR,
    "ratelimits_per_month_v1": _LIMITS_BY_HOUR | {"time": DATE},
}
_WINDOWS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("row_number() OVER (PARTITION BY {0} ORDER BY request_id)", (STRING,)),
    ("sum({0}) OVER (ORDER BY request_id DESC)", (INT,)),
    ("count() OVER (PARTITION BY {0})", (BOOL,)),
    ("rank() OVER (ORDER BY {0})", (INT,)),
    ("dense_rank() OVER (PARTITION BY {0} ORDER BY {1} DESC)", (STRING, DATE)),
    ("max({0}) OVER (ORDER BY request_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", (INT,)),
)
_STRINGS = ("", "VALID", "EXPIRED", "ann", "key_1", "a", "%", "_", "é", "it''s", "B\\\\c", " x ")
_CONSTANTS: Mapping[str, Sequence[str]] = {
    INT: ("0", "1", "2", "-3", "7"),
    FLOAT: ("0.5", "-1.25", "2.0", "0.001"),
    STRING: tuple(f"'{text}'" for text in _STRINGS),
    BOOL: ("1 = 1", "1 = 2", "true"),
    DATE: ("toDate('2026-01-01')", "today()"),
    TIME: ("toDateTime('2026-01-01 05:00:00')", "now()"),
    MOMENT: ("now64()", f"fromUnixTimestamp64Milli({NOW_MS + HOUR_MS})"),
    LIST: ("['a']", "['a', 'b', 'a']", "arrayFilter(x -> x != 'a', ['a', 'q'])"),
}
_FORMS: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]] = {
    INT: (
        ("({0} + {1})", (INT, INT)),
        ("({0} - {1})", (INT, INT)),
        ("(- {0})", (INT,)),
        ("(length({0}) * 3)", (STRING,)),
        ("({0} % 5)", (INT,)),
        ("abs({0})", (INT,)),
        ("length({0})", (STRING,)),
        ("length({0})", (LIST,)),
        ("toInt64({0})", (BOOL,)),
        ("toInt64(round({0}))", (FLOAT,)),
        ("toInt64({0})", (TIME,)),
        ("toUnixTimestamp64Milli({0})", (MOMENT,)),
        ("({0} - {1})", (TIME, TIME)),
        ("({0} - {1})", (DATE, DATE)),
        ("round({0})", (INT,)),
    ),
    FLOAT: (
        ("({0} + {1})", (FLOAT, INT)),
        ("({0} * 2)", (FLOAT,)),
        ("({0} / 4)", (INT,)),
        ("toFloat64({0})", (INT,)),
        ("floor({0})", (FLOAT,)),
        ("ceil({0})", (FLOAT,)),
    ),
    STRING: (
        ("concat({0}, {1})", (STRING, STRING)),
        ("({0} || {1})", (STRING, INT)),
        ("lower({0})", (STRING,)),
        ("upper({0})", (STRING,)),
        ("substring({0}, 2)", (STRING,)),
        ("substring({0}, 1, 2)", (STRING,)),
        ("trim({0})", (STRING,)),
        ("toString({0})", (INT,)),
        ("toString({0})", (DATE,)),
        ("toString({0})", (TIME,)),
        ("formatDateTime({0}, '%Y-%m-%d %H')", (TIME,)),
        ("JSONExtractString({0}, 'plan')", (STRING,)),
    ),
    BOOL: (
        *((f"({{0}} {sign} {{1}})", (INT, INT)) for sign in ("=", "!=", "<", ">=")),
        *((f"({{0}} {sign} {{1}})", (STRING, STRING)) for sign in ("=", "<", ">")),
        *((f"({{0}} {sign} {{1}})", (DATE, DATE)) for sign in ("=", "<=")),
        *((f"({{0}} {sign} {{1}})", (TIME, TIME)) for sign in ("=", ">")),
        ("({0} > {1})", (TIME, MOMENT)),
        ("({0} < {1})", (DATE, TIME)),
        ("({0} > {1})", (FLOAT, INT)),
        ("({0} AND {1})", (BOOL, BOOL)),
        ("({0} OR {1})", (BOOL, BOOL)),
        ("(NOT {0})", (BOOL,)),
        ("({0} = {1})", (BOOL, BOOL)),
        ("({0} IN (1, {1}, 3))", (INT, INT)),
        ("({0} NOT IN ('VALID', {1}))", (STRING, STRING)),
        ("({0} BETWEEN {1} AND 5)", (INT, INT)),
        ("({0} IS NULL)", (INT,)),
        ("({0} IS NOT NULL)", (STRING,)),
        ("({0} LIKE '%a_%')", (STRING,)),
        ("({0} ILIKE 'K%')", (STRING,)),
        ("startsWith({0}, {1})", (STRING, STRING)),
        ("endsWith({0}, {1})", (STRING, STRING)),
        ("has({0}, {1})", (LIST, STRING)),
        ("hasAny({0}, {1})", (LIST, LIST)),
        ("hasAll({0}, {1})", (LIST, LIST)),
    ),
    DATE: (
        ("toDate({0})", (TIME,)),
        ("toDate({0})", (MOMENT,)),
        ("toStartOfMonth({0})", (DATE,)),
        ("toStartOfYear({0})", (TIME,)),
        ("toStartOfWeek({0})", (DATE,)),
        ("toStartOfWeek({0}, 1)", (TIME,)),
        ("({0} + 3)", (DATE,)),
        ("({0} - INTERVAL 1 MONTH)", (DATE,)),
    ),
    TIME: (
        ("toDateTime({0})", (MOMENT,)),
        ("toDateTime({0})", (DATE,)),
        ("toStartOfHour({0})", (TIME,)),
        ("toStartOfMinute({0})", (MOMENT,)),
        ("toStartOfDay({0})", (TIME,)),
        ("({0} + INTERVAL 90 MINUTE)", (TIME,)),
        ("({0} - INTERVAL 1 MONTH)", (TIME,)),
        ("({0} + 61)", (TIME,)),
    ),
    MOMENT: (
        ("toDateTime64({0}, 3)", (TIME,)),
        ("({0} + INTERVAL 1 DAY)", (MOMENT,)),
    ),
    LIST: (
        ("[coalesce({0}, ''), coalesce({1}, 'n')]", (STRING, STRING)),
        ("arrayFilter(e -> e != {0}, {1})", (STRING, LIST)),
        ("arrayFilter(e -> length(e) > 1, {0})", (LIST,)),
    ),
}
_AGGREGATES: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]] = {
    INT: (
        ("count()", ()),
        ("count({0})", (INT,)),
        ("count(DISTINCT {0})", (STRING,)),
        ("countIf({0})", (BOOL,)),
        ("sum({0})", (INT,)),
        ("sumIf({0}, {1})", (INT, BOOL)),
        ("sum({0})", (BOOL,)),
        ("min({0})", (INT,)),
        ("max({0})", (INT,)),
        ("uniq({0})", (STRING,)),
        ("uniqExact({0})", (INT,)),
        ("length(groupArray({0}))", (STRING,)),
        ("count() FILTER (WHERE {0})", (BOOL,)),
    ),
    STRING: (("min({0})", (STRING,)), ("max({0})", (STRING,))),
    DATE: (("min({0})", (DATE,)), ("max({0})", (DATE,))),
    TIME: (("max({0})", (TIME,)), ("min({0})", (TIME,))),
    LIST: (("groupUniqArray({0})", (STRING,)), ("groupUniqArray(toString({0}))", (INT,))),
}
_FLOAT_AGGREGATES = (
    ("avg({0})", (INT,)),
    ("sum({0})", (FLOAT,)),
    ("max({0})", (FLOAT,)),
    ("quantile(0.5)({0})", (INT,)),
    ("quantile(0.9)({0})", (FLOAT,)),
)
_SORTABLE = (INT, STRING, BOOL, DATE, TIME, MOMENT)
_KINDS = (INT, FLOAT, STRING, BOOL, DATE, TIME, MOMENT, LIST)
Form = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Made:
    """A query, the types of its columns by name, and whether it sorts by everything."""

    sql: str
    columns: dict[str, str]
    is_sorted: bool = False


class Maker:
    """Draws the parts of one query."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._tables, self._id = draw(
            st.sampled_from([(_VERIFICATIONS, "key_id")] * 3 + [(_RATELIMITS, "identifier")])
        )

    def one_of(self, *choices: Callable[[], str]) -> str:
        """One of the choices, made."""
        return self._draw(st.sampled_from(choices))()

    def sometimes(self, of: int = 3) -> bool:
        """True one time in so many."""
        return self._draw(st.integers(1, of)) == of

    def value(self, type_: str, columns: Mapping[str, str], depth: int = 2) -> str:
        """An expression of the type over the columns."""
        named = [name for name, each in columns.items() if each == type_]
        leaves: list[Callable[[], str]] = [lambda: self._draw(st.sampled_from(_CONSTANTS[type_]))]
        if named:
            leaves += [lambda: self._draw(st.sampled_from(named))] * 3
        if depth == 0:
            return self.one_of(*leaves)
        made: list[Callable[[], str]] = [lambda: self._formed(_FORMS[type_], columns, depth)]
        if type_ != LIST:
            made.append(lambda: self._chosen(type_, columns, depth))
        if type_ in (INT, STRING) and depth > 1:
            made.append(lambda: self._asked(type_))
        if type_ == BOOL and depth > 1:
            made.append(lambda: f"({self.value(STRING, columns, 0)} IN ({self._column(STRING)}))")
        return self.one_of(*leaves, *leaves, *made * 2)

    def _formed(self, forms: Sequence[Form], columns: Mapping[str, str], depth: int) -> str:
        form, types = self._draw(st.sampled_from(forms))
        return form.format(*(self.value(type_, columns, depth - 1) for type_ in types))

    def _chosen(self, type_: str, columns: Mapping[str, str], depth: int) -> str:
        holds = self.value(BOOL, columns, depth - 1)
        one, other = (self.value(type_, columns, depth - 1) for _ in range(2))
        return self._draw(
            st.sampled_from(
                (
                    f"if({holds}, {one}, {other})",
                    f"if({holds}, {one}, NULL)",
                    f"CASE WHEN {holds} THEN {one} END",
                    f"coalesce(if({holds}, NULL, {one}), {other})",
                )
            )
        )

    def _asked(self, type_: str) -> str:
        """A query that stands for a value."""
        table, columns = self._draw(st.sampled_from(list(self._tables.items())))
        return f"(SELECT max({self.value(type_, columns, 1)}) FROM {table})"

    def _column(self, type_: str) -> str:
        """A query of one column."""
        table, columns = self._draw(st.sampled_from(list(self._tables.items())))
        return f"SELECT {self.value(type_, columns, 1)} FROM {table} WHERE {self.value(BOOL, columns, 1)}"

    # -- queries

    def query(self, depth: int = 2, types: Sequence[str] = ()) -> Made:
        """Any query; one with columns of these types, where any are asked for."""
        if depth and self.sometimes(4):
            return self._combined(depth, types)
        return self._grouped(depth, types) if self.sometimes(2) else self._rows(depth, types)

    def _source(self, depth: int) -> tuple[str, dict[str, str]]:
        if depth and self.sometimes(2):
            inner = self.query(depth - 1)
            return f"({inner.sql}) AS q", inner.columns
        table, columns = self._draw(st.sampled_from(list(self._tables.items())))
        if depth and self.sometimes(4):
            return self._joined(table, columns)
        return f"{table} AS t", columns

    def _joined(self, table: str, columns: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        kind = self._draw(st.sampled_from(("INNER JOIN", "LEFT JOIN")))
        other, theirs = self._draw(st.sampled_from(list(self._tables.items())))
        value = self.value(STRING, theirs, 1)
        inner = f"SELECT {self._id} AS k, count() AS n, max({value}) AS m FROM {other} GROUP BY k"
        if self.sometimes(2):
            inner = f"SELECT * FROM ({inner}) AS g WHERE n > {self._draw(st.integers(0, 4))}"
        own = {f"t.{name}": type_ for name, type_ in columns.items()}
        return f"{table} AS t {kind} ({inner}) AS o ON t.{self._id} = o.k", own | {
            "o.k": STRING,
            "o.n": INT,
            "o.m": STRING,
        }

    def _types(self, types: Sequence[str]) -> list[str]:
        return list(types) or self._draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=3))

    def _rows(self, depth: int, types: Sequence[str]) -> Made:
        source, columns = self._source(depth)
        wanted = {f"r{n}": type_ for n, type_ in enumerate(self._types(types))}
        told = {name: self.value(type_, columns) for name, type_ in wanted.items()}
        if wanted["r0"] == INT and "request_id" in columns and self.sometimes(2):
            told["r0"] = self._formed(_WINDOWS, columns, 2)
        items = ", ".join(f"{text} AS {name}" for name, text in told.items())
        distinct = "DISTINCT " if self.sometimes() else ""
        where = f" WHERE {self.value(BOOL, columns)}" if self.sometimes(2) else ""
        return self._ordered(f"SELECT {distinct}{items} FROM {source}{where}", wanted)

    def _grouped(self, depth: int, types: Sequence[str]) -> Made:
        source, columns = self._source(depth)
        where = f" WHERE {self.value(BOOL, columns)}" if self.sometimes(2) else ""
        keys = {
            f"g{n}": (type_, self.value(type_, columns))
            for n, type_ in enumerate(self._draw(st.lists(st.sampled_from(_SORTABLE), max_size=2)))
        }
        grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
        wanted = {f"r{n}": type_ for n, type_ in enumerate(self._types(types))}
        items = {name: self._aggregate(type_, columns) for name, type_ in wanted.items()}
        having = f" HAVING {self._aggregate(INT, columns)} > 1" if self.sometimes() else ""
        if not types:
            wanted |= {name: type_ for name, (type_, _) in keys.items()}
        told = [f"{text} AS {name}" for name, text in items.items()]
        if types:
            grouped = f" GROUP BY {', '.join(text for _, text in keys.values())}" if keys else ""
        else:
            told += [f"{text} AS {name}" for name, (_, text) in keys.items()]
        return self._ordered(f"SELECT {', '.join(told)} FROM {source}{where}{grouped}{having}", wanted)

    def _aggregate(self, type_: str, columns: Mapping[str, str]) -> str:
        if type_ == FLOAT:
            return self._formed(_FLOAT_AGGREGATES, columns, 2)
        if type_ == BOOL:
            return f"({self._formed(_AGGREGATES[INT], columns, 2)} > 2)"
        if type_ == MOMENT:
            return f"toDateTime64({self._formed(_AGGREGATES[TIME], columns, 2)}, 3)"
        return self._formed(_AGGREGATES[type_], columns, 2)

    def _combined(self, depth: int, types: Sequence[str]) -> Made:
        types = self._types(types)
        left, right = self.query(depth - 1, types), self.query(depth - 1, types)
        operator = self._draw(
            st.sampled_from(("UNION ALL", "UNION DISTINCT", "EXCEPT", "EXCEPT DISTINCT", "INTERSECT"))
        )
        columns = dict(list(left.columns.items())[: len(types)])
        return self._ordered(f"({left.sql}) {operator} ({right.sql})", columns, by_number=True)

    def _ordered(self, sql: str, columns: dict[str, str], *, by_number: bool = False) -> Made:
        """The query, sorted by all its columns or not at all."""
        if not set(columns.values()) <= set(_SORTABLE) or not self.sometimes(2):
            return Made(sql, columns)
        names = [str(n) for n, _ in enumerate(columns, start=1)] if by_number else list(columns)
        order = ", ".join(f"{name}{self._draw(st.sampled_from(('', ' DESC')))}" for name in names)
        limit = f" LIMIT {self._draw(st.integers(0, 5))}" if self.sometimes() else ""
        offset = f" OFFSET {self._draw(st.integers(0, 3))}" if limit and self.sometimes() else ""
        return Made(f"{sql} ORDER BY {order}{limit}{offset}", columns, is_sorted=True)


@st.composite
def queries(draw: st.DrawFn) -> Made:
    """A query over verifications or over limits."""
    return Maker(draw).query()
