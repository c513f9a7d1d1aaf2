"""Whose address a request counts as: the socket's peer, or what a trusted proxy says about it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Networks = tuple[IPv4Network | IPv6Network, ...]

_MAPPED = IPv6Network("::ffff:0:0/96")


def networks(texts: Iterable[str]) -> Networks:
    """Networks from `10.0.0.0/8`, `::1`, …; host bits are dropped and IPv4-mapped IPv6 becomes IPv4.

    Raises ValueError for anything else.
    """
    return tuple(_unmapped_network(ip_network(text.strip(), strict=False)) for text in texts)


def client_ip(peer: str, forwarded: Sequence[bytes], trusted: Networks) -> str:
    """The address a request counts as, in canonical text.

    `peer` is the socket's peer and `forwarded` the values of the `X-Forwarded-For` headers in the order
    received. A peer outside `trusted` speaks for itself. Behind a trusted one the answer is the rightmost
    entry that is not trusted; an entry that is no address ends the walk, because nobody trusted vouches for
    what lies left of it, and the last good address is the answer.
    """
    address = canonical(peer)
    if not forwarded or not is_trusted(address, trusted):
        return address
    for entry in reversed(b",".join(forwarded).split(b",")):
        hop = _address_of(entry)
        if hop is None:
            return address
        address = hop
        if not is_trusted(address, trusted):
            return address
    return address


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """An address as `ipaddress` spells it, IPv4-mapped IPv6 as IPv4, without a zone; other text unchanged."""
    address = _parsed(text)
    return text if address is None else str(address)


@lru_cache(maxsize=4096)
def is_trusted(address: str, trusted: Networks) -> bool:
    """Whether one of the networks holds the address."""
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in trusted
    )


@lru_cache(maxsize=4096)
def _address_of(entry: bytes) -> str | None:
    """One entry of the header: an address, perhaps with a port, or `None` when it is neither."""
    text = entry.decode("latin-1").strip().strip('"')
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    else:
        port = ""
    address = _parsed(text)
    return str(address) if address is not None and _is_port(port.removeprefix(":")) else None


def _is_port(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit() and len(text) <= 5)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _unmapped_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
