"""Sealing: what opens, what does not, and what is never shown."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.kernel.sealing import SealingKey, Unopenable

KEY = SealingKey(bytes(range(32)))


@given(plain=st.binary(max_size=600), names=st.lists(st.text(max_size=20), max_size=4))
def test_what_is_sealed_opens_for_what_it_belongs_to(plain: bytes, names: list[str]) -> None:
    sealed = KEY.seal(plain, *names)
    assert KEY.open(sealed, *names) == plain
    assert KEY.seal(plain, *names) != sealed


@given(one=st.lists(st.text(max_size=6), max_size=3), other=st.lists(st.text(max_size=6), max_size=3))
def test_it_opens_for_nothing_else(one: list[str], other: list[str]) -> None:
    sealed = KEY.seal(b"secret", *one)
    if one != other:
        with pytest.raises(Unopenable):
            KEY.open(sealed, *other)


def test_it_opens_with_no_other_key() -> None:
    with pytest.raises(Unopenable):
        SealingKey.fresh().open(KEY.seal(b"secret"))


def test_no_bit_of_it_can_be_changed_and_no_part_left_out() -> None:
    sealed = KEY.seal(b"secret", "here")
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(Unopenable):
            KEY.open(bytes(changed), "here")
    for length in range(len(sealed)):
        with pytest.raises(Unopenable):
            KEY.open(sealed[:length], "here")


def test_no_nonce_comes_twice() -> None:
    assert len({KEY.seal(b"")[1:13] for _ in range(20_000)}) == 20_000


@pytest.mark.parametrize(
    "write",
    [
        SealingKey.reveal,
        lambda key: f"  {key.reveal()}\n",
        lambda key: base64.b64encode(key.reveal_bytes()).decode(),
        lambda key: base64.urlsafe_b64encode(key.reveal_bytes()).decode().rstrip("="),
        lambda key: key.reveal_bytes().hex(),
    ],
    ids=["our own", "with spaces", "base64", "url", "hex"],
)
def test_a_key_is_read_in_every_form_that_people_make(write: Callable[[SealingKey], str]) -> None:
    for key in (SealingKey.fresh(), SealingKey(bytes(255 - n for n in range(32)))):
        read = SealingKey.of_text(write(key))
        assert (read.id, read.reveal()) == (key.id, key.reveal())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be 32 bytes, not 0"),
        ("c2hvcnQ=", "must be 32 bytes, not 5"),
        ("!" * 43, "is neither Base64 nor hexadecimal"),
        ("é" * 64, "is neither Base64 nor hexadecimal"),
        ("00" * 32, "is not random"),
        ("YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", "is not random"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        SealingKey.of_text(text)


def test_printing_a_key_shows_its_id_alone() -> None:
    assert repr(KEY) == f"{KEY}" == f"SealingKey({KEY.id})"
    assert KEY.reveal() not in repr([KEY])
    assert KEY.id.startswith("kek_") and len(KEY.id) == 20
