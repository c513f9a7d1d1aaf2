"""What may be linked to, whom guesses count against, and what codes and tokens look like."""

import pytest

from latchwork.domains.portals import Invitation, NewPortal, OpenedSession, Session, rules
from latchwork.kernel.faults import BadRequest

_STRANGE = [
    "/back",
    "//acme.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://acme.test",
    "https://",
    "https://:80",
    "https://a@acme.test",
    "https://acme.test\\@evil.test",
    "https://acme.test/\t",
    "https://acme.test/a b",
    "https://acme.test:99999/",
    "https://acme.test:0/",
    "https://[::1/",
    "https://ácme.test/",
]


@pytest.mark.parametrize("url", _STRANGE)
def test_nobody_is_sent_back_to_a_strange_address(url: str) -> None:
    with pytest.raises(BadRequest, match="`returnUrl`"):
        rules.check_return_url(url)


@pytest.mark.parametrize(
    "url", [None, "https://acme.test", "http://localhost:3000/a?b=c#d", "HTTPS://[::1]/"]
)
def test_an_absolute_web_address_may_be_returned_to(url: str | None) -> None:
    rules.check_return_url(url)


@pytest.mark.parametrize("url", [*_STRANGE, "http://acme.test/logo.svg"])
def test_a_logo_comes_over_https(url: str) -> None:
    with pytest.raises(BadRequest, match="`logoUrl`"):
        rules.check_branding(NewPortal("abc", "x", logo_url=url))


@pytest.mark.parametrize(
    ("ip", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_guesses_count_against_an_address_or_its_network(ip: str, counted: str) -> None:
    assert rules.neighbourhood(ip) == counted


def test_secrets_are_long_and_never_the_same() -> None:
    made = [rules.new_code() for _ in range(50)] + [rules.new_token() for _ in range(50)]
    assert len({secret[4:] for secret in made}) == 100
    assert {(secret[:4], len(secret), secret[4:].isalnum()) for secret in made} == {
        ("pst_", 28, True),
        ("pat_", 28, True),
    }


def test_scopes_imply_each_action_once() -> None:
    every = ("keys:read", "keys:create", "keys:reroll", "analytics:read")
    actions = ("read_key", "read_api", "create_key", "read_analytics")
    assert rules.implied(every, encrypted=False) == actions
    assert rules.implied(every, encrypted=True) == (*actions, "encrypt_key")
    assert rules.implied(["keys:read"], encrypted=True) == ("read_key", "read_api")


def test_what_is_printed_of_a_session_is_no_secret() -> None:
    session = Session("ps_1", "ws_1", "pc_1", "user_1", (), (), False, None, 1, 2)
    assert "pst_" not in repr(Invitation(session, "https://x.test/?code=pst_1"))
    assert "pat_" not in repr(OpenedSession(session, "pat_1"))
