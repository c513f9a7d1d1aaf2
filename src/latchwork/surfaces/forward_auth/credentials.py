"""Where a question carries secrets: the proxy's token and the client's key."""

from collections.abc import Iterable, Sequence
from hmac import compare_digest

from latchwork.surfaces.forward_auth.faults import NoKey, UnknownKey, WrongToken

TOKEN_HEADER = b"x-forward-auth-token"
_LONGEST_KEY = 512

RawHeaders = Iterable[tuple[bytes, bytes]]

Sent = dict[bytes, bytes | None]
"""The headers that matter by lower-case name; `None` for one that came more than once."""


class Credentials:
    """Finds them among a request's headers, whose names are lower-case."""

    def __init__(self, token: str | None, key_headers: Sequence[str]) -> None:
        """`token`: what a proxy must bring, if anything; `key_headers`: where a key may be, by rank."""
        self._token = None if token is None else token.encode()
        self._names = tuple(name.lower().encode() for name in key_headers)
        self._wanted = frozenset((*self._names, TOKEN_HEADER))
        self._no_key = f"Send your API key as {_in_words(key_headers)}."

    def among(self, headers: RawHeaders) -> Sent:
        """What a request brings, of that which may come once the value; raises `WrongToken`."""
        sent: Sent = {}
        for name, value in headers:
            if name in self._wanted:
                sent[name] = None if name in sent else value
        if self._token is not None and not compare_digest(sent.get(TOKEN_HEADER) or b"", self._token):
            raise WrongToken
        return sent

    def key_of(self, sent: Sent) -> bytes:
        """The client's key; raises `NoKey`, `UnknownKey`.

        A key header that came twice is no key: what is behind the proxy might read the other one.
        """
        for name in self._names:
            if name in sent and (key := _key_in(name, sent[name])):
                if len(key) > _LONGEST_KEY:
                    raise UnknownKey
                return key
        raise NoKey(self._no_key)


def _key_in(name: bytes, value: bytes | None) -> bytes:
    if value is None:
        raise NoKey(f"The header {name.decode('latin-1')} came more than once.")
    if name != b"authorization":
        return value.strip()
    scheme, _, key = value.strip().partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _in_words(names: Sequence[str]) -> str:
    return " or ".join(
        "'Authorization: Bearer KEY'" if name.lower() == "authorization" else f"'{name}: KEY'"
        for name in names
    )
