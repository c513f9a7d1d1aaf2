"""Hashes of other systems, and what of a key may be shown."""

from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.migrations.faults import MalformedKey
from latchwork.domains.migrations.rules import digest_of_hash, parts_of, start_of


@given(st.binary(min_size=32, max_size=32))
def test_every_way_of_writing_32_bytes_is_understood(digest: bytes) -> None:
    for text in (
        digest.hex(),
        digest.hex().upper(),
        b64encode(digest).decode(),
        b64encode(digest).decode().rstrip("="),
        urlsafe_b64encode(digest).decode(),
        urlsafe_b64encode(digest).decode().rstrip("="),
    ):
        assert digest_of_hash(text) == digest


@given(st.binary(max_size=64).filter(lambda data: len(data) != 32))
def test_no_other_number_of_bytes_is_a_hash(data: bytes) -> None:
    assert digest_of_hash(b64encode(data).decode()) is None
    assert digest_of_hash(data.hex()) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_a_hash(text: str) -> None:
    digest = digest_of_hash(text)
    assert digest is None or len(digest) == 32


@given(st.text(max_size=100))
def test_what_is_shown_of_a_key_leaves_most_of_it_hidden(text: str) -> None:
    start = start_of(text)
    assert text.startswith(start)
    assert len(text) - len(start) >= min(16, len(text) * 3 // 4)


def test_a_prefix_is_shown_only_where_enough_stays_hidden_behind_it() -> None:
    assert start_of("prod_" + "a" * 20) == "prod_aaaa"
    assert start_of("prod_" + "a" * 19) == "prod"
    assert start_of("a" * 17 + "_" + "b" * 30) == "aaaa"


@given(
    st.lists(st.text("abcXYZ019", min_size=1, max_size=8), min_size=3, max_size=6),
)
def test_the_last_part_is_the_secret_and_the_one_before_it_is_shown(parts: list[str]) -> None:
    key = "_".join(parts)
    found = parts_of(key)
    assert found.digest == sha256(parts[-1].encode()).digest()
    prefix = "_".join(parts[:-2])
    assert found.start == f"{prefix}_" + f"{parts[-2]}_{parts[-1]}"[:4]


@pytest.mark.parametrize("key", ["", "one", "one_two", "_two"])
def test_fewer_than_three_parts_are_no_prefixed_key(key: str) -> None:
    with pytest.raises(MalformedKey):
        parts_of(key)
