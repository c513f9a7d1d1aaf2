"""The OpenAPI 3.1 document of this surface."""

from importlib.metadata import version
from typing import Any

from latchwork.kernel.faults import Fault, PreconditionFailed, TooManyRequests, Unavailable
from latchwork.surfaces.forward_auth.answers import REFUSALS
from latchwork.surfaces.forward_auth.faults import InvalidQuestion, NoKey, UnknownKey, WrongToken
from latchwork.surfaces.forward_auth.questions import (
    LONGEST_BYTES,
    LONGEST_MIGRATION,
    MOST_COST,
    MOST_LIMITS,
    MOST_TAGS,
    REST,
)
from latchwork.surfaces.http.bulkhead import Overloaded
from latchwork.surfaces.http.faults import ERROR_PAGES, Unexpected

PATH = "/forward-auth"
OPENAPI_PATH = "/forward-auth/openapi.json"

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_REQUEST_ID = "req_4sTq0XbZ1"

_INTRODUCTION = f"""\
For nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth, Envoy `ext_authz` and HAProxy.

Before a proxy lets a request through, it sends the request's headers here, with any method and without the
body. The operator writes the question into the proxy's configuration as query parameters; the client's key
is in `Authorization: Bearer` or `X-API-Key`, or where `LATCHWORK_FORWARD_AUTH__KEY_HEADERS` says. Only 200
lets a request pass. An unknown key, a key of another API and an unknown API are answered alike. A query with
a parameter that is not listed is refused, so a misspelt one opens no door.

What follows the parameter `{REST}` is not read, so that a proxy that appends the client's own path and query
may do so there.
"""


def document() -> dict[str, Any]:
    """What may be asked, and every answer."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Latchwork forward authentication",
            "version": version("latchwork"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": "forward-auth", "description": "May this request pass?"}],
        "paths": {PATH: {method: _operation(method) for method in METHODS}},
        "components": {
            "schemas": {"Admitted": _ADMITTED, "Problem": _PROBLEM},
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _operation(method: str) -> dict[str, Any]:
    return {
        "operationId": "forwardAuth" if method == "get" else f"forwardAuth.{method}",
        "tags": ["forward-auth"],
        "summary": "Ask whether a request may pass",
        "description": "Verifies the key as `keys.verifyKey` does: limits count and credits are spent when it passes.",
        "parameters": _PARAMETERS,
        "security": [
            {"key": []},
            {"keyHeader": []},
            {"key": [], "token": []},
            {"keyHeader": [], "token": []},
        ],
        "responses": _RESPONSES,
    }


def _parameter(name: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": name == "api",
        "description": description,
        "schema": schema,
        "example": example,
    }


def _list(most: int) -> dict[str, Any]:
    return {"type": "array", "maxItems": most, "items": {"type": "string", "minLength": 1, "maxLength": 512}}


_PARAMETERS = [
    _parameter(
        "api",
        "The id of the API whose keys may pass.",
        {"type": "string", "minLength": 3, "maxLength": 255, "pattern": "^[a-zA-Z0-9_]+$"},
        "api_1234567890",
    ),
    _parameter(
        "permissions",
        "A query over the key's permissions, such as `a AND (b OR c)`.",
        {"type": "string", "minLength": 1, "maxLength": 1000},
        "documents.read",
    ),
    _parameter(
        "cost",
        "What the request costs in credits, 1 unless told; 0 spends nothing.",
        {"type": "integer", "minimum": 0, "maximum": MOST_COST},
        1,
    ),
    _parameter(
        "limit",
        "A limit to count: `NAME` of the key or its identity, with `,cost=N` for another cost than 1; or one "
        f"of its own as `NAME,limit=N,duration=MS`. Up to {MOST_LIMITS} times.",
        _list(MOST_LIMITS),
        ["requests", "writes,limit=10,duration=60000"],
    ),
    _parameter(
        "tag",
        f"Kept with the event, for analytics. Up to {MOST_TAGS} times.",
        _list(MOST_TAGS),
        ["path=/invoices"],
    ),
    _parameter(
        "migration",
        "The migration under which a key that is unknown may wait for its first use.",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_MIGRATION},
        "mig_1234567890",
    ),
    _parameter(
        REST,
        "The client's own request. Nothing from here on is read.",
        {"type": "string", "maxLength": LONGEST_BYTES},
        "/invoices?page=2",
    ),
]


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"} | more}


def _number(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


_ENCODED = "Percent-encoded where it is not printable ASCII; "
_HEADERS = {
    "X-Request-ID": _text("Names this question in logs.", pattern="^req_[0-9A-Za-z]{9}$"),
    "X-Latchwork-Key-Id": _text("The key's id."),
    "X-Latchwork-Key-Name": _text(_ENCODED + "empty without a name."),
    "X-Latchwork-Identity-Id": _text("The id of the key's identity; empty without one."),
    "X-Latchwork-External-Id": _text(_ENCODED + "your own id of that identity; empty without one."),
    "X-Latchwork-Permissions": _text(_ENCODED + "separated by commas; empty when none or over 1024 bytes."),
    "X-Latchwork-Roles": _text(_ENCODED + "separated by commas; empty when none or over 1024 bytes."),
    "X-Latchwork-Remaining": _text(
        "Credits that key and identity can still pay, if any.", pattern="^[0-9]*$"
    ),
    "X-Latchwork-Problem": _text("The problem document on one line, for proxies that drop the body."),
    "RateLimit-Limit": _number("Of the limit nearest to refusing; absent when none was counted."),
    "RateLimit-Remaining": _number("What it still allows."),
    "RateLimit-Reset": _number("Whole seconds until it starts anew."),
    "Retry-After": _number("Whole seconds; absent where waiting does not help."),
    "WWW-Authenticate": _text("`Bearer`, with `error` when a key was sent."),
}
_ADMITTED = {
    "type": "object",
    "properties": {
        "meta": {
            "type": "object",
            "properties": {"requestId": {"type": "string"}},
            "required": ["requestId"],
        },
        "data": {
            "type": "object",
            "properties": {"valid": {"const": True}, "code": {"const": "VALID"}},
            "required": ["valid", "code"],
        },
    },
    "required": ["meta", "data"],
}
_PROBLEM = {
    "type": "object",
    "description": "Why a request may not pass (RFC 9457).",
    "properties": {
        "meta": _ADMITTED["properties"]["meta"],  # type: ignore[index]
        "type": {"type": "string", "format": "uri", "description": "The stable identity of the problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence about this very request."},
        "code": {
            "enum": [outcome.value for outcome in REFUSALS],
            "description": "The outcome of the verification of a key that was found.",
        },
        "retryAt": {
            "type": "integer",
            "description": "When trying again will help, in milliseconds since the epoch.",
        },
    },
    "required": ["meta", "type", "title", "status", "detail"],
}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "The client's key."},
    "keyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The client's key."},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Forward-Auth-Token",
        "description": "The proxy's token; asked for when `LATCHWORK_FORWARD_AUTH__TOKEN` is set.",
    },
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def _refusal(description: str, examples: dict[str, tuple[str, str, str]], *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _headers("X-Latchwork-Problem", *headers),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {name: {"value": _example(*example)} for name, example in examples.items()},
            }
        },
    }


def _example(status: str, title: str, code: str, detail: str = "", outcome: str = "") -> dict[str, Any]:
    problem: dict[str, Any] = {
        "meta": {"requestId": _REQUEST_ID},
        "type": ERROR_PAGES + code,
        "title": title,
        "status": int(status),
        "detail": detail or "A sentence about this very request.",
    }
    return problem | ({"code": outcome} if outcome else {})


def _of_faults(*faults: type[Fault]) -> dict[str, Any]:
    return {
        fault.code.rpartition("/")[2]: (str(fault.status), fault.title, fault.code, fault.default_detail)
        for fault in faults
    }


def _of_refusals(status: int) -> dict[str, Any]:
    return {
        outcome.value: (str(status), title, code, "", outcome.value)
        for outcome, (answered, title, code) in REFUSALS.items()
        if answered == status
    }


_WHO = [name for name in _HEADERS if name.startswith("X-Latchwork-") and name != "X-Latchwork-Problem"]
_LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_RESPONSES = {
    "200": {
        "description": "The request may pass; the headers say who sent it.",
        "headers": _headers(*_WHO, *_LIMITS),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Admitted"}}},
    },
    "400": _refusal("The operator's question cannot be read.", _of_faults(InvalidQuestion)),
    "401": _refusal(
        "No key, or none that is good here.",
        _of_faults(NoKey, UnknownKey) | _of_refusals(401),
        "WWW-Authenticate",
    ),
    "403": _refusal(
        "The key may not do this, or the proxy did not send its token.",
        _of_refusals(403) | _of_faults(WrongToken),
    ),
    "412": _refusal(
        "A `limit` names one that neither the key nor its identity has.", _of_faults(PreconditionFailed)
    ),
    "429": _refusal(
        "A limit, the credits or what the workspace may verify in a month are used up.",
        _of_refusals(429) | _of_faults(TooManyRequests),
        "Retry-After",
        *_LIMITS,
    ),
    "500": _refusal("Something went wrong on our side.", _of_faults(Unexpected)),
    "503": _refusal("The key cannot be looked up right now.", _of_faults(Unavailable, Overloaded)),
}
