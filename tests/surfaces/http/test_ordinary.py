"""Which heads a hot handler may be asked about."""

import pytest

from latchwork.surfaces.http.ordinary import Screen

ORDINARY = [(b"Host", b"a"), (b"Authorization", b"Bearer k"), (b"Content-Length", b"12")]


def test_an_ordinary_head_is_what_matters_of_it() -> None:
    more = [(b"Connection", b"keep-alive"), (b"X-Forwarded-For", b"1"), (b"x-forwarded-for", b"2")]
    assert Screen().sift(ORDINARY) == (b"Bearer k", 12, b"a", None, ())
    assert Screen().sift(ORDINARY + more) == (b"Bearer k", 12, b"a", b"keep-alive", (b"1", b"2"))


@pytest.mark.parametrize("missing", range(3))
def test_nothing_of_it_may_be_missing(missing: int) -> None:
    assert Screen().sift(ORDINARY[:missing] + ORDINARY[missing + 1 :]) is None


@pytest.mark.parametrize(
    "name", [b"HOST", b"authorization", b"Content-length", b"Connection", b"content-TYPE"]
)
def test_nothing_of_it_may_come_twice(name: bytes) -> None:
    value = {b"content-TYPE": b"application/json"}.get(name, b"5")
    twice = [(name, value), (name.lower(), value)]
    others = [field for field in ORDINARY if field[0].lower() != name.lower()]
    assert Screen().sift(others + twice[:1]) is not None
    assert Screen().sift(others + twice) is None


@pytest.mark.parametrize(
    "name", [b"Transfer-Encoding", b"EXPECT", b"upgrade", b"Content-Encoding", b"X-Test-Time"]
)
def test_nothing_may_ask_for_another_way(name: bytes) -> None:
    assert Screen([b"x-test-time"]).sift([*ORDINARY, (name, b"x")]) is None


@pytest.mark.parametrize("length", [b"", b"+5", b"-5", b"5 ", b"0x5", b"5,5", b"\xb2", b"1" * 19])
def test_the_length_is_digits(length: bytes) -> None:
    assert Screen().sift([*ORDINARY[:2], (b"Content-Length", length)]) is None


@pytest.mark.parametrize(
    ("media_type", "accepted"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=UTF-8", True),
        (b"application/json;charset=utf-8", True),
        (b"application/json; charset=latin-1", False),
        (b"application/merge-patch+json", False),
        (b"text/plain", False),
        (b"", False),
    ],
)
def test_the_type_is_json(media_type: bytes, accepted: bool) -> None:
    assert (Screen().sift([*ORDINARY, (b"Content-Type", media_type)]) is not None) is accepted


def test_endlessly_many_names_are_not_kept() -> None:
    screen = Screen()
    for number in range(5_000):
        assert screen.sift([*ORDINARY, (b"X-%d" % number, b"x")]) is not None
    assert len(screen._spelled) <= 1_024
    assert screen.sift([*ORDINARY, (b"eXpEcT", b"x")]) is None


def test_a_head_without_a_body_needs_a_host_only() -> None:
    host = (b"Host", b"a")
    screen = Screen()
    assert screen.sift_bare([host]) == (b"", 0, b"a", None, ())
    assert screen.sift_bare([*ORDINARY[:2], (b"content-length", b"0"), (b"Content-Type", b"x/y")]) == (
        b"Bearer k",
        0,
        b"a",
        None,
        (),
    )
    assert screen.sift_bare([]) is None
    for more in ([(b"Content-Length", b"1")], [host], [(b"Expect", b"x")], [ORDINARY[1]] * 2):
        assert screen.sift_bare([host, *more]) is None
