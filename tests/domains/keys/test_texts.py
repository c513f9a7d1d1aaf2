"""The text of a root key tells a typo from a stranger."""

import random
import re
import string

from latchwork.domains.keys.rules import checksum, mint_root

SHAPE = re.compile(r"lw_root_[0-9A-Za-z]{38}")


def test_a_root_key_ends_with_the_checksum_of_what_is_random_in_it() -> None:
    texts = {mint_root() for _ in range(1_000)}
    assert len(texts) == 1_000
    for text in texts:
        assert SHAPE.fullmatch(text)
        assert text[-6:] == checksum(text[8:-6])


def test_a_slip_of_the_pen_does_not_have_its_checksum() -> None:
    chance = random.Random(7)
    for _ in range(1_000):
        random_part, told = (text := mint_root())[8:-6], text[-6:]
        at = chance.randrange(len(random_part) - 1)
        other = chance.choice([c for c in string.ascii_letters if c != random_part[at]])
        swapped = random_part[:at] + random_part[at + 1] + random_part[at] + random_part[at + 2 :]
        assert checksum(random_part[:at] + other + random_part[at + 1 :]) != told
        assert swapped == random_part or checksum(swapped) != told
