"""The clients that users of the public API already have, against a running server."""
