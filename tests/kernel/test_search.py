"""What a search is looked up by is part of it, rare, and bounded however long the search is."""

import random

from latchwork.kernel.sql.search import Sample

PLACES = [[f"key_{number:03d}\x1fbilling {number % 7}\x1fuser_{number:04d}" for number in range(200)]] * 3


def test_the_rarest_parts_are_looked_up() -> None:
    sample = Sample(PLACES, rare=0.02)
    assert sample.rarest_trigrams("user_0012") is not None
    assert '"use"' not in str(sample.rarest_trigrams("user_0012"))
    assert sample.rare_word("user_0012") == "0012"
    assert sample.rare_word("billing") is None
    assert (sample.is_rare("user_0012"), sample.is_rare("billing")) == (True, False)


def test_whatever_is_looked_up_is_in_the_search() -> None:
    drawn = random.Random(3)
    sample = Sample(PLACES, rare=1)
    for length in (3, 4, 17, 40, 5_000):
        folded = "".join(drawn.choice('ab_ 0%"支') for _ in range(length))
        asked = str(sample.rarest_trigrams(folded))
        parts = [part[1:-1].replace('""', '"') for part in asked.split(" AND ")]
        assert 1 <= len(parts) <= 3
        assert all(len(part) == 3 and part in folded for part in parts)
        word = sample.rare_word(folded)
        assert word is None or word in folded


def test_of_an_empty_table_everything_is_rare() -> None:
    empty = Sample([[], [], []], rare=0.02)
    assert empty.is_rare("billing") and empty.rare_word("billing") == "billing"
