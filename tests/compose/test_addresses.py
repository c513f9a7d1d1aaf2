"""Where a server says that it is."""

import pytest

from latchwork.compose.addresses import error_pages, portal_url, public_url
from latchwork.settings import Settings, SettingsError, load


def test_a_server_is_where_it_listens_unless_it_is_told() -> None:
    settings = Settings(host="0.0.0.0", port=9000)
    assert public_url(settings) == "http://127.0.0.1:9000"
    assert portal_url(settings) == "http://127.0.0.1:9000/portal"
    assert error_pages(settings) == "http://127.0.0.1:9000/docs/errors/"


def test_the_public_address_is_the_beginning_of_every_other() -> None:
    settings = load({"LATCHWORK_PUBLIC_URL": "https://api.acme.test/v/"}).settings
    assert public_url(settings) == "https://api.acme.test/v"
    assert portal_url(settings) == "https://api.acme.test/v/portal"
    assert error_pages(settings) == "https://api.acme.test/v/docs/errors/"


def test_the_portal_may_be_elsewhere() -> None:
    settings = load({"LATCHWORK_PORTAL_URL": "https://keys.acme.test/"}).settings
    assert portal_url(settings) == "https://keys.acme.test"


@pytest.mark.parametrize(
    "wrong",
    [
        "api.acme.test",
        "ftp://acme.test",
        "https://",
        "https://[::1",
        "https://acme.test:0",
        "https://acme.test:99999",
        "https://user@acme.test",
        "https://acme.test/?a=b",
        "https://acme.test/#a",
        "https://acme test",
        "https://ácme.test",
    ],
)
def test_what_is_no_web_address_refuses_to_start(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"LATCHWORK_PUBLIC_URL must be an http or https address"):
        load({"LATCHWORK_PUBLIC_URL": wrong})
