"""What is known of a request before its body is understood."""

from latchwork.surfaces.http.requests import Headers, RequestFacts

SENT = [(b"accept", b"a"), (b"x-one", b"1"), (b"accept", b"b"), (b"user-agent", b"caf\xe9\x1b[31m")]


def test_of_a_repeated_header_the_last_counts_and_all_are_known() -> None:
    headers = Headers(SENT)
    assert headers.get(b"accept") == b"b"
    assert headers.all(b"accept") == [b"a", b"b"]
    assert headers.repeated(b"accept")
    assert not headers.repeated(b"x-one")
    assert headers.raw() == SENT


def test_a_header_that_was_not_sent_is_none_and_no_text() -> None:
    headers = Headers(())
    assert headers.get(b"accept") is None
    assert headers.text(b"accept") == ""
    assert headers.all(b"accept") == []
    assert not headers.repeated(b"accept")


def test_a_user_agent_is_printable_and_not_endless() -> None:
    def agent(sent: bytes) -> str:
        headers = Headers([(b"user-agent", sent)])
        return RequestFacts("req_1", "GET", "/", "192.0.2.1", 0, headers).user_agent

    assert agent(b"curl/8.0") == "curl/8.0"
    assert agent(b"caf\xe9\x1b[31m\x85") == "café [31m "
    assert len(agent(b"x" * 5000)) == 512
