"""Whose address a request counts as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.surfaces.http.client_ip import canonical, client_ip, is_trusted, networks

PROXIES = networks(["10.0.0.0/8", "::1", "fd00::/8"])


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert client_ip("203.0.113.1", [b"1.2.3.4"], ()) == "203.0.113.1"


def test_a_stranger_speaks_for_itself() -> None:
    assert client_ip("203.0.113.1", [b"1.2.3.4"], PROXIES) == "203.0.113.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ([b"1.2.3.4"], "1.2.3.4"),
        ([b"6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ([b"6.6.6.6", b"1.2.3.4"], "1.2.3.4"),
        ([b"1.2.3.4", b"10.9.9.9"], "1.2.3.4"),
        ([b"6.6.6.6,1.2.3.4 , 10.9.9.9,\t10.8.8.8"], "1.2.3.4"),
        ([b"10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        ([], "10.0.0.1"),
        ([b""], "10.0.0.1"),
        ([b"1.2.3.4, unknown"], "10.0.0.1"),
        ([b"1.2.3.4, unknown, 10.9.9.9"], "10.9.9.9"),
        ([b"1.2.3.4, 10.9.9.9, "], "10.0.0.1"),
        ([b"1.2.3.4:5678"], "1.2.3.4"),
        ([b"[2001:db8::1]:443"], "2001:db8::1"),
        ([b"[2001:db8::1]"], "2001:db8::1"),
        ([b'"[2001:DB8:0::1]"'], "2001:db8::1"),
        ([b"2001:db8::1"], "2001:db8::1"),
        ([b"::ffff:1.2.3.4"], "1.2.3.4"),
        ([b"1.2.3.4, ::ffff:10.1.1.1"], "1.2.3.4"),
        ([b"1.2.3.4:http"], "10.0.0.1"),
        ([b"1.2.3.4\x00"], "10.0.0.1"),
        ([b"1.2.3.4/8"], "10.0.0.1"),
        ([b"01.2.3.4"], "10.0.0.1"),
        ([b"\xff\xfe"], "10.0.0.1"),
    ],
)
def test_behind_a_trusted_proxy_the_rightmost_stranger_counts(forwarded: list[bytes], expected: str) -> None:
    assert client_ip("10.0.0.1", forwarded, PROXIES) == expected


def test_a_mapped_peer_is_the_address_it_maps() -> None:
    assert client_ip("::ffff:203.0.113.1", [b"1.2.3.4"], PROXIES) == "203.0.113.1"
    assert client_ip("::ffff:10.0.0.1", [b"1.2.3.4"], PROXIES) == "1.2.3.4"


def test_a_peer_without_an_address_is_trusted_by_nobody() -> None:
    assert client_ip("", [b"1.2.3.4"], networks(["0.0.0.0/0", "::/0"])) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("FE80::1%eth0", "fe80::1"), ("::FFFF:1.2.3.4", "1.2.3.4"), ("1.2.3.4", "1.2.3.4"), ("unix", "unix")],
)
def test_addresses_have_one_spelling(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.1.2.3/8", "10.9.9.9", "11.0.0.1"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
        ("0.0.0.0/0", "9.9.9.9", "2001:db8::1"),
        ("::/0", "2001:db8::1", "9.9.9.9"),
        (" 2001:db8::/32 ", "2001:db8:1::1", "2001:db9::1"),
    ],
)
def test_networks_hold_what_they_say(network: str, inside: str, outside: str) -> None:
    trusted = networks([network])
    assert is_trusted(inside, trusted)
    assert not is_trusted(outside, trusted)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "example.com", "10.0.0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks([text])


_ADDRESSES = st.ip_addresses().map(str)


@given(st.lists(_ADDRESSES | st.text(max_size=8), max_size=6), _ADDRESSES)
def test_what_a_client_writes_itself_never_becomes_its_address(written: list[str], real: str) -> None:
    """The proxy appends the address it saw; everything left of it came from the client."""
    trusted = networks(["10.0.0.0/8"])
    client = canonical(real)
    sent = ",".join(written).encode("utf-8", "replace")
    if is_trusted(client, trusted):
        return
    assert client_ip("10.0.0.1", [sent, client.encode()], trusted) == client
    assert client_ip(real, [sent], trusted) == client
