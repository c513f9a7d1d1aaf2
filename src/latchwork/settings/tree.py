"""Every setting there is, with its default, what it takes and what it does."""

# ruff: noqa: RUF009 - `_setting` makes a field, as dataclasses.field does

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from latchwork.settings.kinds import (
    Kind,
    Secret,
    blobs_url,
    choice,
    clickhouse_url,
    encryption_key,
    encryption_keys,
    header_names,
    networks,
    path,
    postgres_url,
    redis_url,
    seconds,
    secret,
    text,
    web_address,
    whole,
    yes_or_no,
)

PREFIX = "LATCHWORK_"


def _setting(default: object, kind: Kind, about: str) -> Any:
    return field(default=default, metadata={"kind": kind, "about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsSettings:
    """What is kept of answered verifications and limits."""

    enabled: bool = _setting(True, yes_or_no, "Record every verification and limit for the analytics.")
    buffer_events: int = _setting(
        100_000, whole(100, 10_000_000), "Events held in memory until written; more are dropped and counted."
    )
    spool_max_bytes: int = _setting(
        268_435_456, whole(1_048_576, 1 << 50), "Size on disk of events not yet in the analytics database."
    )
    retention_days: int = _setting(90, whole(1, 36_500), "Days after which events are deleted.")
    queries_per_hour: int = _setting(
        1_000, whole(1, 1_000_000_000), "Queries in SQL that one workspace may ask in an hour."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What one client may take of the server."""

    max_body_bytes: int = _setting(
        10_485_760,
        whole(1024, 1 << 30),
        "Largest request body; procedures that take one thing at a time accept at most 1 MiB.",
    )
    header_deadline_s: float = _setting(
        10.0, seconds(1, 3600), "Seconds in which a request's head must arrive whole."
    )
    body_deadline_s: float = _setting(
        10.0, seconds(1, 3600), "Seconds that a request's body may pause before it is given up."
    )
    keep_alive_s: float = _setting(75.0, seconds(1, 86_400), "Seconds an idle connection is kept open.")
    max_connections: int = _setting(
        10_000, whole(1, 1_000_000), "Connections served at the same time; further ones are answered 503."
    )
    verifications_in_flight: int = _setting(
        4_096,
        whole(1, 1_000_000),
        "Verifications and limits that may wait for a database at the same time; further ones are answered 503.",
    )
    administration_in_flight: int = _setting(
        128, whole(1, 100_000), "Other requests worked on at the same time; further ones wait."
    )
    administration_queue: int = _setting(
        1_024, whole(0, 1_000_000), "Other requests that may wait for that; further ones are answered 503."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthSettings:
    """What reverse proxies may ask at `/forward-auth`."""

    token: Secret | None = _setting(
        None,
        secret(16),
        "What a proxy must send in X-Forward-Auth-Token; without it whoever reaches the server may ask.",
    )
    key_headers: tuple[str, ...] = _setting(
        ("Authorization", "X-API-Key"),
        header_names,
        "The headers that may hold the client's key, the first sent counts; in Authorization after Bearer.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSettings:
    """What recoverable keys are encrypted with; without it none can be made or read."""

    key: Secret | None = _setting(
        None, encryption_key, "The key that encrypts what recoverable keys are encrypted with."
    )
    key_file: Path | None = _setting(
        None,
        path,
        "A file with that key in its first line, and in further lines older ones that still decrypt. "
        "`latchwork encryption rotate` reads it again.",
    )
    old_keys: tuple[Secret, ...] = _setting(
        (), encryption_keys, "Older keys, which decrypt until `latchwork encryption rotate` has run."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How the bucket of `blobs_url` is reached."""

    endpoint: str | None = _setting(
        None, web_address, "Where the store is that speaks S3; else AWS, in that region."
    )
    region: str | None = _setting(
        None, text("a region such as eu-central-1"), "The bucket's region; else AWS_REGION, or us-east-1."
    )
    access_key_id: str | None = _setting(
        None,
        text("the id of an access key"),
        "The access key; without it that of the environment (AWS_ACCESS_KEY_ID, …) or of the instance.",
    )
    secret_access_key: Secret | None = _setting(None, secret(8), "The secret that belongs to it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is said on standard error."""

    level: str = _setting(
        "info", choice("debug", "info", "warning", "error"), "The least severe message logged."
    )
    format: str = _setting("text", choice("text", "json"), "Lines for people, or one JSON object a line.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; made by `load`, or directly in tests."""

    host: str = _setting("127.0.0.1", text("an address or a host name"), "The address to listen on.")
    port: int = _setting(8765, whole(0, 65_535), "The port to listen on; 0 takes a free one.")
    data_dir: Path = _setting(
        Path("latchwork-data"),
        path,
        "The directory of the databases; one server or command owns it at a time.",
    )
    database_url: Secret | None = _setting(
        None, postgres_url, "A PostgreSQL database; without it the state is in SQLite in the data directory."
    )
    clickhouse_url: Secret | None = _setting(
        None,
        clickhouse_url,
        "A ClickHouse server for the analytics, over HTTP; without it they are in the data directory.",
    )
    redis_url: Secret | None = _setting(
        None,
        redis_url,
        "A Redis or Valkey server for limits and news among any number of processes on one PostgreSQL database.",
    )
    blobs_url: str | None = _setting(
        None,
        blobs_url,
        "Where seals of the audit log are kept: a bucket that speaks S3, which all nodes share, or a directory; "
        "without it in the data directory.",
    )
    workers: int = _setting(
        1,
        whole(1, 256),
        "Processes that serve on this host; more than one need PostgreSQL and Redis. "
        "SIGHUP starts them anew, one after the other.",
    )
    bootstrap_root_key: Secret | None = _setting(
        None, secret(32), "A root key with every permission that exists after every start."
    )
    public_url: str | None = _setting(
        None,
        web_address,
        "Where clients reach this server, as links tell it; else the address and the port that it listens on.",
    )
    portal_url: str | None = _setting(
        None,
        web_address,
        "Where the portal's pages are, to which a portal session sends people; else /portal at the public URL.",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), networks, "Networks whose X-Forwarded-For is believed when the client's address is told."
    )
    docs: str = _setting(
        "public",
        choice("public", "admin", "off"),
        "Who sees the reference page and the OpenAPI documents: everyone, holders of a root key, or nobody.",
    )
    test_clock: bool = _setting(
        False, yes_or_no, "Let requests set the time by X-Test-Time; refused unless bound to loopback."
    )
    analytics: AnalyticsSettings = AnalyticsSettings()
    server: ServerSettings = ServerSettings()
    forward_auth: ForwardAuthSettings = ForwardAuthSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    s3: S3Settings = S3Settings()
    log: LogSettings = LogSettings()


class Declared(NamedTuple):
    """One setting as declared: its dotted name, and what it takes and does."""

    name: str
    kind: Kind
    default: object
    about: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper().replace(".", "__")


def declared() -> Iterator[Declared]:
    """Every setting, in the order of declaration."""
    yield from _walk(Settings, "")


def value_of(settings: Settings, name: str) -> object:
    """The value of a setting by its dotted name."""
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _walk(tree: type, prefix: str) -> Iterator[Declared]:
    for each in fields(tree):
        if is_dataclass(each.default):
            yield from _walk(type(each.default), f"{prefix}{each.name}.")
        else:
            yield Declared(prefix + each.name, each.metadata["kind"], each.default, each.metadata["about"])
