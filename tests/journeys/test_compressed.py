"""A compressed body meets the same refusal at the fast lane and behind it, and costs nothing."""

import gzip
import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.cli.processes import serving

BOMB = gzip.compress(b" " * 50_000_000)


def test_a_compressed_body_is_a_415_on_a_connection_that_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        key = server.ready["rootKey"]
        address = urlsplit(server.ready["url"])
        assert address.hostname and address.port
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        plain = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        for encoding in ("gzip", "br", "zstd", "GZIP", "identity, gzip"):
            for path in ("/v2/keys.verifyKey", "/v2/ratelimit.limit", "/v2/apis.createApi"):
                for _ in range(3):  # the head is met, learnt and recalled, if it ever is
                    connection.request("POST", path, BOMB, plain | {"Content-Encoding": encoding})
                    answer = connection.getresponse()
                    error = json.load(answer)["error"]
                    assert (answer.status, error["status"]) == (415, 415)
                    assert error["type"].endswith("/docs/errors/user/bad_request/unsupported_media_type")
                    assert answer.headers["Accept-Encoding"] == "identity"
            connection.request("POST", "/v2/keys.verifyKey", b'{"key":"unknown"}', plain)
            answer = connection.getresponse()
            assert (answer.status, json.load(answer)["data"]["code"]) == (200, "NOT_FOUND")
        connection.close()
