"""Reading the settings: layers of what was given, each value read by its kind, every problem told at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from latchwork.settings.tree import PREFIX, Declared, Settings, declared, is_loopback

CONFIG = "LATCHWORK_CONFIG"
DEFAULT_FILE = "latchwork.toml"
_Layer = dict[str, tuple[str, object]]


class SettingsError(Exception):
    """The settings are wrong; the message has one sentence a problem, each on its own line."""


class Loaded(NamedTuple):
    """The settings and, by dotted name, where each came from: `flag`, a variable, a file or `default`."""

    settings: Settings
    sources: Mapping[str, str]


def load(
    environ: Mapping[str, str],
    *,
    flags: Mapping[str, object] = MappingProxyType({}),
    config: Path | None = None,
    directory: Path | None = None,
) -> Loaded:
    """Read the settings; raises `SettingsError` naming everything that is wrong.

    `flags` are values by dotted name, `None` meaning not given. `config` is the file; without it
    `LATCHWORK_CONFIG`, else `latchwork.toml` in `directory` when there is one. An empty variable
    counts as not set.
    """
    known = {each.name: each for each in declared()}
    problems: list[str] = []
    layers = [
        _from_file(environ, config, directory or Path(), known, problems),
        _from_environment(environ, known, problems),
        {name: ("flag", value) for name, value in flags.items() if value is not None},
    ]
    given = {name: found for layer in layers for name, found in layer.items()}
    values = {}
    for name, (source, raw) in given.items():
        try:
            values[name] = known[name].kind.read(raw)
        except ValueError as problem:
            problems.append(f"{_called(source, known[name])} {problem}.")
    settings = _build(Settings, values, "")
    problems.extend(_contradictions(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return Loaded(settings, {name: given[name][0] if name in given else "default" for name in known})


def _build(tree: Callable[..., Any], values: Mapping[str, object], prefix: str) -> Any:
    """An instance of `tree`, every value that is not given at its default."""
    made = {}
    for each in fields(tree):  # type: ignore[arg-type]
        if is_dataclass(each.default):
            made[each.name] = _build(type(each.default), values, f"{prefix}{each.name}.")
        elif prefix + each.name in values:
            made[each.name] = values[prefix + each.name]
    return tree(**made)


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Declared], problems: list[str]
) -> _Layer:
    names = {each.variable: each.name for each in known.values()}
    layer: _Layer = {}
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG or not raw:
            continue
        if variable in names:
            layer[names[variable]] = (variable, raw)
        else:
            problems.append(f"{variable} is not a setting{_nearest(variable, names)}.")
    return layer


def _from_file(
    environ: Mapping[str, str],
    config: Path | None,
    directory: Path,
    known: Mapping[str, Declared],
    problems: list[str],
) -> _Layer:
    chosen = config or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    file = chosen or directory / DEFAULT_FILE
    if chosen is None and not file.exists():
        return {}
    layer: _Layer = {}
    for name, raw in _flat(_read_toml(file), ""):
        if name in known:
            layer[name] = (str(file), raw)
        else:
            problems.append(f"{file}: {name} is not a setting{_nearest(name, known)}.")
    return layer


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The settings file {file} is not valid TOML: {error}.") from error


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; the nearest is {near[0]}" if near else ""


def _called(source: str, setting: Declared) -> str:
    """What the user wrote: the flag, the variable, or the name in the file."""
    if source == "flag":
        return "--" + setting.name.replace("_", "-")
    return source if source == setting.variable else f"{source}: {setting.name}"


def _contradictions(settings: Settings) -> Iterator[str]:
    if settings.test_clock and not is_loopback(settings.host):
        yield (
            f"{PREFIX}TEST_CLOCK lets callers choose the time, so {PREFIX}HOST must be a loopback "
            f"address such as 127.0.0.1, not {settings.host}."
        )
    if settings.redis_url is not None and settings.database_url is None:
        yield (
            f"{PREFIX}REDIS_URL makes many processes one, which share their state in PostgreSQL: "
            f"set {PREFIX}DATABASE_URL too, or leave it out."
        )
    if settings.workers > 1 and settings.redis_url is None:
        yield (
            f"{PREFIX}WORKERS is {settings.workers}, but without {PREFIX}DATABASE_URL and {PREFIX}REDIS_URL "
            "there can be one process only."
        )
    if settings.encryption.key is not None and settings.encryption.key_file is not None:
        yield f"{PREFIX}ENCRYPTION__KEY and {PREFIX}ENCRYPTION__KEY_FILE are both set; leave one of them out."
    if settings.encryption.old_keys and settings.encryption.key is None:
        yield (
            f"{PREFIX}ENCRYPTION__OLD_KEYS needs {PREFIX}ENCRYPTION__KEY, the key to encrypt with; "
            "older keys of a file are its further lines."
        )
    yield from _contradictions_of_blobs(settings)


def _contradictions_of_blobs(settings: Settings) -> Iterator[str]:
    s3 = settings.s3
    if (s3.access_key_id is None) != (s3.secret_access_key is None):
        yield (
            f"{PREFIX}S3__ACCESS_KEY_ID and {PREFIX}S3__SECRET_ACCESS_KEY belong together: set both, or neither "
            "to use the key of the environment or of the instance."
        )
    if s3 != type(s3)() and (settings.blobs_url is None or not settings.blobs_url.startswith("s3://")):
        yield (
            f"{PREFIX}S3__… says how a bucket is reached, but {PREFIX}BLOBS_URL names none: "
            "set it to a URL such as s3://bucket/prefix, or leave the others out."
        )
