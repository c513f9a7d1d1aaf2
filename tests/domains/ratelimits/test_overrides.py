"""Which override holds for an identifier."""

from latchwork.domains.ratelimits import Override, OverrideMatcher


def override(identifier: str, id_: str = "rlor_1", expires_at_ms: int | None = None) -> Override:
    return Override(id_, "rlns_1", identifier, 5, 60_000, expires_at_ms)


def found(identifier: str, *overrides: Override, now_ms: int = 1000) -> str | None:
    match = OverrideMatcher(overrides).find(identifier, now_ms)
    return match.identifier if match else None


def test_an_exact_one_wins_over_every_pattern() -> None:
    assert found("user_1", override("*"), override("user_*"), override("user_1")) == "user_1"


def test_the_most_specific_pattern_wins() -> None:
    assert found("user_17", override("*"), override("user_1*"), override("user_*")) == "user_1*"


def test_a_pattern_matches_whole_identifiers_and_nothing_but_stars_is_special() -> None:
    assert found("a.c", override("a.c*")) == "a.c*"
    assert found("abc", override("a.c*")) is None
    assert found("xa", override("a*")) is None
    assert found("prefix-mid-suffix", override("prefix*suffix")) == "prefix*suffix"
    assert found("prefixsuffix", override("prefix*suffix")) == "prefix*suffix"
    assert found("presuffix", override("prefix*suffix")) is None


def test_an_override_ends_after_its_moment() -> None:
    assert found("a", override("a", expires_at_ms=1000), now_ms=1000) == "a"
    assert found("a", override("a", expires_at_ms=1000), now_ms=1001) is None
    assert found("a", override("a", expires_at_ms=5), override("*"), now_ms=9) == "*"
