"""What can be set, from where, and what refuses to start."""

import re
from pathlib import Path

import pytest

import latchwork.settings
from latchwork.settings import Secret, Settings, SettingsError, declared, is_loopback, load, value_of

A_KEY = "0f3c9a7e5b1d8264f0a1c2e3d4b5a697"


def settings_of(directory: Path, environ: dict[str, str] | None = None, **flags: object) -> Settings:
    return load(environ or {}, flags=flags, directory=directory).settings


def refusal_of(directory: Path, environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(directory, environ, **flags)
    return str(caught.value)


def test_without_anything_given_every_setting_has_its_default(tmp_path: Path) -> None:
    loaded = load({}, directory=tmp_path)
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}


def test_a_flag_wins_over_the_environment_the_environment_over_the_file_the_file_over_the_default(
    tmp_path: Path,
) -> None:
    (tmp_path / "latchwork.toml").write_text('port = 1\nhost = "::1"\ndocs = "off"\n')
    environ = {"LATCHWORK_PORT": "2", "LATCHWORK_HOST": "127.0.0.2"}
    loaded = load(environ, flags={"port": 3}, directory=tmp_path)
    settings = loaded.settings
    assert (settings.port, settings.host, settings.docs) == (3, "127.0.0.2", "off")
    assert loaded.sources["port"] == "flag"
    assert loaded.sources["host"] == "LATCHWORK_HOST"
    assert loaded.sources["docs"] == str(tmp_path / "latchwork.toml")
    assert loaded.sources["log.level"] == "default"


def test_a_flag_of_none_is_a_flag_not_given(tmp_path: Path) -> None:
    assert settings_of(tmp_path, {"LATCHWORK_PORT": "2"}, port=None).port == 2


def test_a_group_is_two_underscores_in_the_environment_and_a_table_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "latchwork.toml").write_text('[log]\nlevel = "debug"\n[analytics]\nenabled = false\n')
    settings = settings_of(tmp_path, {"LATCHWORK_ANALYTICS__RETENTION_DAYS": "7"})
    assert settings.log.level == "debug"
    assert (settings.analytics.enabled, settings.analytics.retention_days) == (False, 7)


def test_the_file_is_the_one_asked_for_by_flag_then_by_environment(tmp_path: Path) -> None:
    for name, port in (("latchwork.toml", 1), ("mine.toml", 2), ("other.toml", 3)):
        (tmp_path / name).write_text(f"port = {port}\n")
    environ = {"LATCHWORK_CONFIG": str(tmp_path / "mine.toml")}
    assert load(environ, directory=tmp_path).settings.port == 2
    assert load(environ, config=tmp_path / "other.toml", directory=tmp_path).settings.port == 3


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert settings_of(tmp_path, {"LATCHWORK_DATABASE_URL": "", "LATCHWORK_PORT": ""}) == Settings()


def test_variables_of_other_programs_are_none_of_our_business(tmp_path: Path) -> None:
    assert settings_of(tmp_path, {"HOME": "/root", "LATCHWORKER": "x"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("LATCHWORK_PROT", "LATCHWORK_PORT"),
        ("LATCHWORK_BOOTSTRAP_KEY", "LATCHWORK_BOOTSTRAP_ROOT_KEY"),
        ("LATCHWORK_ANALYTICS_ENABLED", "LATCHWORK_ANALYTICS__ENABLED"),
    ],
)
def test_an_unknown_variable_is_refused_and_the_nearest_name_told(
    tmp_path: Path, variable: str, nearest: str
) -> None:
    assert refusal_of(tmp_path, {variable: "x"}) == f"{variable} is not a setting; the nearest is {nearest}."


def test_an_unknown_name_in_the_file_is_refused_and_the_nearest_name_told(tmp_path: Path) -> None:
    file = tmp_path / "latchwork.toml"
    file.write_text('[log]\nlevels = "debug"\n')
    assert refusal_of(tmp_path) == f"{file}: log.levels is not a setting; the nearest is log.level."


def test_a_table_where_a_value_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latchwork.toml").write_text("[port]\nnumber = 1\n")
    assert "port.number is not a setting" in refusal_of(tmp_path)


def test_a_value_where_a_table_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latchwork.toml").write_text('log = "debug"\n')
    assert "log is not a setting; the nearest is log." in refusal_of(tmp_path)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    told = refusal_of(tmp_path, {"LATCHWORK_PORT": "x", "LATCHWORK_DOCS": "some", "LATCHWORK_NOPE": "1"})
    assert len(told.splitlines()) == 3


@pytest.mark.parametrize(
    ("variable", "value", "right"),
    [
        ("LATCHWORK_HOST", " ", "an address or a host name"),
        ("LATCHWORK_PORT", "http", "a whole number from 0 to 65535"),
        ("LATCHWORK_PORT", "65536", "a whole number from 0 to 65535"),
        ("LATCHWORK_PORT", "80.5", "a whole number from 0 to 65535"),
        ("LATCHWORK_DATA_DIR", " ", "a path"),
        ("LATCHWORK_DOCS", "private", "public, admin or off"),
        ("LATCHWORK_TEST_CLOCK", "maybe", "true or false"),
        ("LATCHWORK_TRUSTED_PROXIES", "10.0.0.0/33", "networks such as 10.0.0.0/8, separated by commas"),
        ("LATCHWORK_SERVER__KEEP_ALIVE_S", "nan", "seconds from 1 to 86400"),
        ("LATCHWORK_SERVER__KEEP_ALIVE_S", "inf", "seconds from 1 to 86400"),
        ("LATCHWORK_SERVER__HEADER_DEADLINE_S", "0", "seconds from 1 to 3600"),
        ("LATCHWORK_LOG__FORMAT", "xml", "text or json"),
    ],
)
def test_a_wrong_value_names_the_setting_and_what_would_be_right(
    tmp_path: Path, variable: str, value: str, right: str
) -> None:
    assert refusal_of(tmp_path, {variable: value}) == f"{variable} must be {right}, not {value}."


@pytest.mark.parametrize(
    "line", ["port = true", "port = [1]", "port = 1.5", "port = 1979-05-27", "port = inf"]
)
def test_a_value_of_the_wrong_type_in_the_file_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "latchwork.toml").write_text(line)
    assert "port must be a whole number from 0 to 65535, not " in refusal_of(tmp_path)


def test_a_wrong_flag_is_called_by_the_flag(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, port=-1).startswith("--port must be a whole number")


@pytest.mark.parametrize("word", ["true", "1", "YES", "on"])
def test_a_switch_is_on_by_any_usual_word(tmp_path: Path, word: str) -> None:
    assert settings_of(tmp_path, {"LATCHWORK_TEST_CLOCK": word}).test_clock


@pytest.mark.parametrize("word", ["false", "0", "No", "off"])
def test_a_switch_is_off_by_any_usual_word(tmp_path: Path, word: str) -> None:
    assert not settings_of(tmp_path, {"LATCHWORK_ANALYTICS__ENABLED": word}).analytics.enabled


def test_lists_are_separated_by_commas_or_are_lists_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "latchwork.toml").write_text('trusted_proxies = ["10.0.0.1", "fd00::/8"]\n')
    assert settings_of(tmp_path).trusted_proxies == ("10.0.0.1/32", "fd00::/8")
    environ = {"LATCHWORK_TRUSTED_PROXIES": "10.1.2.3/8, ::1,"}
    assert settings_of(tmp_path, environ).trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latchwork.toml").write_text("trusted_proxies = [1]\n")
    assert "trusted_proxies must be networks" in refusal_of(tmp_path)


def test_headers_are_named_by_names_that_headers_can_have(tmp_path: Path) -> None:
    variable = "LATCHWORK_FORWARD_AUTH__KEY_HEADERS"
    assert settings_of(tmp_path).forward_auth.key_headers == ("Authorization", "X-API-Key")
    assert settings_of(tmp_path, {variable: "Api-Key, X-Key"}).forward_auth.key_headers == (
        "Api-Key",
        "X-Key",
    )
    for value in (" , ", "X Key", "X-Key:", "X-Key\t2", "é", "a" * 65):
        told = refusal_of(tmp_path, {variable: value})
        assert told == f"{variable} must be names of headers, separated by commas, not {value}."


def test_a_directory_may_begin_with_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert settings_of(tmp_path, {"LATCHWORK_DATA_DIR": "~/keys"}).data_dir == Path("/home/ada/keys")


def test_a_file_that_was_asked_for_and_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file or directory"):
        load({}, config=tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"port = ", b"\xff"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "latchwork.toml").write_bytes(content)
    assert "is not valid TOML" in refusal_of(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_test_clock_is_allowed_on_loopback(tmp_path: Path, host: str) -> None:
    assert settings_of(tmp_path, {"LATCHWORK_TEST_CLOCK": "1", "LATCHWORK_HOST": host}).test_clock


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "keys.example", "127.keys.example"])
def test_a_test_clock_is_refused_where_others_can_reach_it(tmp_path: Path, host: str) -> None:
    told = refusal_of(tmp_path, {"LATCHWORK_TEST_CLOCK": "1", "LATCHWORK_HOST": host})
    assert "LATCHWORK_HOST must be a loopback address" in told
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (A_KEY[:31], "must be a secret of 32 characters or more"),
        (A_KEY + " ", "without spaces"),
        (A_KEY + "\n", "printable"),
        (A_KEY + "é", "printable ASCII"),
        ("changeme" * 4, "is a sample"),
        ("REPLACE-ME-with-32-characters-or-more", "is a sample"),
    ],
)
def test_a_weak_or_sample_root_key_is_refused_without_being_repeated(
    tmp_path: Path, value: str, why: str
) -> None:
    told = refusal_of(tmp_path, {"LATCHWORK_BOOTSTRAP_ROOT_KEY": value})
    assert why in told
    assert value not in told


@pytest.mark.parametrize(
    "url",
    ["sqlite:///x.db", "mysql://u:hunter22@h/d", "postgresql://u:hunter22@h", "postgresql://[u:hunter22"],
)
def test_a_database_that_is_not_postgresql_is_refused_without_repeating_its_password(
    tmp_path: Path, url: str
) -> None:
    told = refusal_of(tmp_path, {"LATCHWORK_DATABASE_URL": url})
    assert "left out to use SQLite in the data directory" in told
    assert "hunter22" not in told


def test_a_database_with_a_sample_password_is_refused(tmp_path: Path) -> None:
    assert "is a sample" in refusal_of(tmp_path, {"LATCHWORK_DATABASE_URL": "postgresql://u:changeme@h/d"})


def test_secrets_are_revealed_on_purpose_only(tmp_path: Path) -> None:
    url = "postgresql://ada:hunter22@db.example:5432/keys"
    settings = settings_of(tmp_path, {"LATCHWORK_BOOTSTRAP_ROOT_KEY": A_KEY, "LATCHWORK_DATABASE_URL": url})
    assert settings.bootstrap_root_key is not None and settings.bootstrap_root_key.reveal() == A_KEY
    assert settings.database_url is not None and settings.database_url.reveal() == url
    for shown in (repr(settings), str(settings), f"{settings.bootstrap_root_key} {settings.database_url}"):
        assert A_KEY not in shown
        assert "hunter22" not in shown
    assert str(settings.database_url) == "postgresql://ada:********@db.example:5432/keys"


def test_a_url_without_a_password_is_shown_whole(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"LATCHWORK_DATABASE_URL": "postgresql:///keys"})
    assert str(settings.database_url) == "postgresql:///keys"


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse://u:hunter22@h/d",
        "http:///d",
        "http://u:hunter22@h/a/b",
        "http://h:0/",
        "http://[u:hunter22",
    ],
)
def test_what_is_no_address_of_a_clickhouse_is_refused_without_repeating_its_password(
    tmp_path: Path, url: str
) -> None:
    told = refusal_of(tmp_path, {"LATCHWORK_CLICKHOUSE_URL": url})
    assert "left out to keep events in the data directory" in told
    assert "hunter22" not in told


def test_the_password_of_a_clickhouse_is_hidden(tmp_path: Path) -> None:
    url = "https://ada:hunter22@events.example/keys"
    settings = settings_of(tmp_path, {"LATCHWORK_CLICKHOUSE_URL": url})
    assert settings.clickhouse_url is not None and settings.clickhouse_url.reveal() == url
    assert str(settings.clickhouse_url) == "https://ada:********@events.example/keys"
    assert "is a sample" in refusal_of(tmp_path, {"LATCHWORK_CLICKHOUSE_URL": "http://u:changeme@h"})


class TestBlobs:
    KEY = {"LATCHWORK_S3__ACCESS_KEY_ID": "AKIA", "LATCHWORK_S3__SECRET_ACCESS_KEY": "hunter22/+a"}

    @pytest.mark.parametrize(
        "url", ["s3://bucket", "s3://a.bucket-1/a/b.c/", "file:///var/lib/blobs", "file:///a%20b"]
    )
    def test_they_are_in_a_bucket_or_a_directory(self, tmp_path: Path, url: str) -> None:
        assert settings_of(tmp_path, {"LATCHWORK_BLOBS_URL": url}).blobs_url == url.rstrip("/")

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "blobs",
                "/var/lib/blobs",
                "https://hunter22@bucket.s3.example.com",
                "s3://id:hunter22@bucket/p",
            ),
            *(
                "s3:/bucket",
                "s3://",
                "s3://Bucket",
                "s3://b",
                "s3://bucket/../x",
                "s3://bucket//x",
                "s3://b b",
            ),
            *(
                "s3://bucket?region=x",
                "file://host/blobs",
                "file:///",
                "file:relative",
                "gs://bucket",
                "s3://[hunter22",
            ),
        ],
    )
    def test_what_is_neither_is_refused_without_being_repeated(self, tmp_path: Path, url: str) -> None:
        told = refusal_of(tmp_path, {"LATCHWORK_BLOBS_URL": url})
        assert told == (
            "LATCHWORK_BLOBS_URL must be a URL such as s3://bucket/prefix or file:///directory, "
            "or left out to keep them in the data directory."
        )

    def test_the_secret_is_never_shown(self, tmp_path: Path) -> None:
        settings = settings_of(tmp_path, self.KEY | {"LATCHWORK_BLOBS_URL": "s3://bucket"})
        assert settings.s3.secret_access_key is not None
        assert settings.s3.secret_access_key.reveal() == "hunter22/+a"
        assert "hunter22" not in f"{settings} {settings!r}"

    @pytest.mark.parametrize("name", KEY)
    def test_half_a_key_is_refused(self, tmp_path: Path, name: str) -> None:
        told = refusal_of(tmp_path, {"LATCHWORK_BLOBS_URL": "s3://bucket", name: self.KEY[name]})
        assert "LATCHWORK_S3__ACCESS_KEY_ID and LATCHWORK_S3__SECRET_ACCESS_KEY belong together" in told
        assert "hunter22" not in told

    @pytest.mark.parametrize("url", ["", "file:///blobs"])
    def test_a_way_to_a_bucket_that_is_not_named_is_refused(self, tmp_path: Path, url: str) -> None:
        told = refusal_of(tmp_path, {"LATCHWORK_BLOBS_URL": url, "LATCHWORK_S3__REGION": "eu-central-1"})
        assert "LATCHWORK_BLOBS_URL names none: set it to a URL such as s3://bucket/prefix" in told

    def test_an_endpoint_is_an_address_of_the_web(self, tmp_path: Path) -> None:
        given = {"LATCHWORK_BLOBS_URL": "s3://bucket", "LATCHWORK_S3__ENDPOINT": "minio:9000"}
        assert "LATCHWORK_S3__ENDPOINT must be an http or https address" in refusal_of(tmp_path, given)


def test_secrets_are_equal_when_their_values_are() -> None:
    assert Secret("a") == Secret("a", "shown") and hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b") and Secret("a") != "a"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


def test_every_default_is_a_value_its_own_kind_accepts() -> None:
    for each in declared():
        if each.default is not None:
            assert each.kind.read(each.default) == each.default, each.name
        assert value_of(Settings(), each.name) == each.default
        assert each.about.endswith(".")


def test_every_setting_is_read_by_something() -> None:
    package = Path(latchwork.settings.__file__).parent
    sources = [path for path in package.parent.rglob("*.py") if package not in path.parents]
    read = {name for path in sources for name in re.findall(r"\.(\w+)", path.read_text())}
    assert {each.name for each in declared() if each.name.rpartition(".")[2] not in read} == set()


class TestEncryption:
    KEY = "lw_kek_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"

    def test_keys_are_read_and_never_shown(self, tmp_path: Path) -> None:
        older = f"{self.KEY}, {bytes(range(32)).hex()}"
        environ = {"LATCHWORK_ENCRYPTION__KEY": self.KEY, "LATCHWORK_ENCRYPTION__OLD_KEYS": older}
        encryption = settings_of(tmp_path, environ).encryption
        assert encryption.key is not None and encryption.key.reveal() == self.KEY
        assert [key.reveal() for key in encryption.old_keys] == [self.KEY, bytes(range(32)).hex()]
        assert self.KEY not in repr(encryption)

    @pytest.mark.parametrize("name", ["KEY", "OLD_KEYS"])
    def test_what_is_no_key_is_refused_without_being_repeated(self, tmp_path: Path, name: str) -> None:
        said = refusal_of(tmp_path, {f"LATCHWORK_ENCRYPTION__{name}": "hunter2hunter2"})
        assert said.startswith(f"LATCHWORK_ENCRYPTION__{name} must be a key that ")
        assert "hunter2" not in said

    def test_keys_in_a_settings_file_are_a_list_of_text(self, tmp_path: Path) -> None:
        for wrong in ("7", "[7]"):
            (tmp_path / "latchwork.toml").write_text(f"[encryption]\nold_keys = {wrong}\n")
            assert "must be" in refusal_of(tmp_path)

    def test_a_key_and_a_file_of_keys_are_one_too_many(self, tmp_path: Path) -> None:
        environ = {"LATCHWORK_ENCRYPTION__KEY": self.KEY, "LATCHWORK_ENCRYPTION__KEY_FILE": "keys"}
        assert "leave one of them out" in refusal_of(tmp_path, environ)

    def test_older_keys_need_one_to_encrypt_with(self, tmp_path: Path) -> None:
        said = refusal_of(tmp_path, {"LATCHWORK_ENCRYPTION__OLD_KEYS": self.KEY})
        assert "LATCHWORK_ENCRYPTION__KEY, the key to encrypt with" in said


@pytest.mark.parametrize(
    "url", ["http://u:hunter22@h", "redis://", "redis://u:hunter22@h/keys", "unix://", "6379"]
)
def test_what_is_no_redis_is_refused_without_repeating_its_password(tmp_path: Path, url: str) -> None:
    given = {"LATCHWORK_DATABASE_URL": "postgresql:///keys", "LATCHWORK_REDIS_URL": url}
    told = refusal_of(tmp_path, given)
    assert "or left out to run as one process" in told
    assert "hunter22" not in told


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:hunter22@h:6380/3", "unix:///run/redis.sock", "redis://[::1]"]
)
def test_a_redis_is_named_by_a_url_whose_password_is_not_shown(tmp_path: Path, url: str) -> None:
    given = {"LATCHWORK_DATABASE_URL": "postgresql:///keys", "LATCHWORK_REDIS_URL": url}
    found = settings_of(tmp_path, given).redis_url
    assert found is not None and found.reveal() == url
    assert "hunter22" not in str(found)


def test_redis_without_postgresql_is_refused(tmp_path: Path) -> None:
    assert "set LATCHWORK_DATABASE_URL too" in refusal_of(tmp_path, {"LATCHWORK_REDIS_URL": "redis://h"})
