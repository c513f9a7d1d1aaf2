"""Requests that this surface refuses before a domain hears of them."""

from collections.abc import Sequence

import msgspec

from latchwork.kernel.faults import BadRequest


class Violation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request: the schema keyword it breaks, got and wanted, the remedy."""

    location: str
    message: str
    fix: str = ""


class InvalidRequest(BadRequest):
    """The request breaks its schema; `errors` names each violation. Always answered as `application/json`."""

    def __init__(self, detail: str, errors: Sequence[Violation]) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class MissingAuthorization(InvalidRequest):
    """There is no `Authorization` header, which the schema of nearly every procedure asks for."""

    remedy = "Send a root key as `Authorization: Bearer ROOT_KEY`."

    def __init__(self) -> None:
        fix = "Send your root key as 'Authorization: Bearer ROOT_KEY'."
        lacking = Violation("/security/bearer", "missing header 'Authorization'", fix)
        super().__init__("Authorization header for 'bearer' scheme", [lacking])


class MalformedAuthorization(BadRequest):
    """The `Authorization` header is there and cannot hold a root key."""

    code = "unkey/authentication/malformed"
    default_detail = (
        "You must provide a valid root key in the Authorization header in the format 'Bearer ROOT_KEY'."
    )
    remedy = "Send exactly one header `Authorization: Bearer ROOT_KEY`."

    @classmethod
    def without_scheme(cls) -> "MalformedAuthorization":
        """The header does not start with `Bearer `."""
        return cls(f"{cls.default_detail} Your authorization header is missing the 'Bearer ' prefix.")
