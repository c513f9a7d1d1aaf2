"""The OpenAPI 3.1 document of the RPC surface, made from the same table that serves it."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, get_args, get_origin

from latchwork.kernel.faults import (
    BadRequest,
    Fault,
    InsufficientPermissions,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from latchwork.surfaces.http.faults import BodyTooLarge, RequestTimeout, Unexpected
from latchwork.surfaces.rpc.envelope import ERROR_TYPES, STATUSES_WITH_ERRORS
from latchwork.surfaces.rpc.examples import example_of
from latchwork.surfaces.rpc.faults import MalformedAuthorization
from latchwork.surfaces.rpc.procedures import Family, Method, Page, Procedure
from latchwork.surfaces.rpc.schemas import Schema, components_of, schema_of

_JSON = "application/json"
_PROBLEM = "application/problem+json"
_REQUEST_ID = "req_4sTq0XbZ1"
_EVERYWHERE: tuple[type[Fault], ...] = (BadRequest, RequestTimeout, Unexpected, Unavailable)
_AUTHENTICATED: tuple[type[Fault], ...] = (
    MalformedAuthorization,
    Unauthorized,
    InsufficientPermissions,
    TooManyRequests,
)

_ENVELOPE: dict[str, Schema] = {
    "Meta": {
        "type": "object",
        "description": "What is said about every answer.",
        "properties": {
            "requestId": {
                "type": "string",
                "description": "Names this request in logs; also sent as `X-Request-ID`.",
                "pattern": "^req_[0-9A-Za-z]{9}$",
                "examples": [_REQUEST_ID],
            }
        },
        "required": ["requestId"],
    },
    "Pagination": {
        "type": "object",
        "description": "Where a list goes on.",
        "properties": {
            "hasMore": {"type": "boolean", "description": "Whether another page follows."},
            "cursor": {
                "type": "string",
                "description": "Send it to get the next page; absent on the last one.",
            },
        },
        "required": ["hasMore"],
    },
    "Error": {
        "type": "object",
        "description": "Why a request was not served.",
        "properties": {
            "title": {"type": "string", "description": "The short name of the kind of error."},
            "detail": {"type": "string", "description": "A sentence about this very request."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "type": {
                "type": "string",
                "format": "uri",
                "description": "The stable identity of the kind of error: `<system>/<category>/<specific>` "
                "behind an address.",
            },
        },
        "required": ["title", "detail", "status", "type"],
    },
    "Violation": {
        "type": "object",
        "description": "One thing that is wrong with a request.",
        "properties": {
            "location": {"type": "string", "description": "The path of the schema keyword that is broken."},
            "message": {"type": "string", "description": "What was got and what was wanted."},
            "fix": {"type": "string", "description": "What would be right."},
        },
        "required": ["location", "message"],
    },
    "RefusedRequest": {
        "allOf": [{"$ref": "#/components/schemas/Error"}],
        "type": "object",
        "description": "What is wrong with the request itself.",
        "properties": {
            "errors": {
                "type": "array",
                "description": "Every violation of the schema; empty when it was kept.",
                "items": {"$ref": "#/components/schemas/Violation"},
            }
        },
        "required": ["errors"],
    },
}
_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {"description": "The same as `meta.requestId`.", "schema": {"type": "string"}},
    "RateLimit-Limit": {
        "description": "API requests that the workspace may make in a minute, where it has a limit.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Reset": {
        "description": "Seconds until they are counted anew.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}


def document(families: Sequence[Family[Any]]) -> dict[str, Any]:
    """OpenAPI 3.1 for every procedure of `families`, with every status each may answer."""
    procedures = [p for family in families for p in family.procedures]
    shapes = _shapes(procedures)
    schemas, components = components_of(list(shapes))
    named = dict(zip(shapes, schemas, strict=True))
    taken = components.keys() & _ENVELOPE.keys()
    if taken:
        raise TypeError(f"these names belong to the envelope: {sorted(taken)}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Latchwork RPC API",
            "version": version("latchwork"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": f.name, "description": f.description} for f in families if f.procedures],
        "paths": _paths(procedures, named),
        "components": {
            "schemas": _ENVELOPE | components,
            "headers": _HEADERS,
            "securitySchemes": {
                "rootKey": {"type": "http", "scheme": "bearer", "description": "A root key of the workspace."}
            },
        },
    }


_INTRODUCTION = """\
Issue API keys, verify them, limit and meter their use, and explain every decision.

Each procedure is one address; requests and answers are JSON. A success carries `meta` and `data`, a
failure `meta` and `error`. The outcome of a verification is data, never an error: a key that may not
pass is a 200 that says so. Every procedure but those marked as open needs a root key in the
`Authorization` header.
"""


def _shapes(procedures: Iterable[Procedure[Any]]) -> list[Any]:
    shapes: list[Any] = []
    for procedure in procedures:
        for shape in (procedure.body, _answered(procedure)):
            if shape is not None and shape not in shapes:
                shapes.append(shape)
    return shapes


def _answered(procedure: Procedure[Any]) -> Any:
    return get_args(procedure.answers)[0] if _is_page(procedure) else procedure.answers


def _is_page(procedure: Procedure[Any]) -> bool:
    return get_origin(procedure.answers) is Page


def _paths(procedures: Iterable[Procedure[Any]], named: Mapping[Any, Schema]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for procedure in procedures:
        for method in procedure.methods:
            operation = _operation(procedure, method, named)
            paths.setdefault(procedure.path, {})[method.lower()] = operation
    return paths


def _operation(procedure: Procedure[Any], method: Method, named: Mapping[Any, Schema]) -> dict[str, Any]:
    suffix = "" if method == procedure.methods[0] == "POST" else f".{method.lower()}"
    operation: dict[str, Any] = {
        "operationId": f"{procedure.family}.{procedure.name}{suffix}",
        "tags": [procedure.family],
        "summary": procedure.summary,
        "description": _description(procedure),
        "security": [] if procedure.open else [{"rootKey": []}],
        "responses": {str(procedure.status): _success(procedure, named)} | _failures(procedure),
    }
    if procedure.permission:
        operation["x-permission"] = procedure.permission
    if procedure.body is not None:
        operation |= _request(procedure, method, named)
    return operation


def _description(procedure: Procedure[Any]) -> str:
    permission = f"Permission: `{procedure.permission}`." if procedure.permission else ""
    return "\n\n".join(part for part in (procedure.description, permission) if part)


def _request(procedure: Procedure[Any], method: Method, named: Mapping[Any, Schema]) -> dict[str, Any]:
    if method in ("GET", "DELETE"):
        return {"parameters": _parameters(schema_of(procedure.body))}
    inlined = schema_of(procedure.body)
    example = example_of(inlined) if procedure.example is None else procedure.example
    content = {"schema": named[procedure.body], "example": example}
    required = bool(inlined.get("required")) or "items" in inlined
    return {"requestBody": {"required": required, "content": {_JSON: content}}}


def _parameters(schema: Schema) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": field.get("description", ""),
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        for name, field in schema["properties"].items()
    ]


def _success(procedure: Procedure[Any], named: Mapping[Any, Schema]) -> dict[str, Any]:
    properties: dict[str, Schema] = {"meta": {"$ref": "#/components/schemas/Meta"}}
    if procedure.answers is not None:
        data = named[_answered(procedure)]
        properties["data"] = {"type": "array", "items": data} if _is_page(procedure) else data
    if _is_page(procedure):
        properties["pagination"] = {"$ref": "#/components/schemas/Pagination"}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "description": "Done.",
        "headers": _headers("X-Request-ID", *_limit_headers(procedure)),
        "content": {_JSON: {"schema": schema}},
    }


def _limit_headers(procedure: Procedure[Any]) -> tuple[str, ...]:
    return () if procedure.open else ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def faults_of(procedure: Procedure[Any]) -> list[type[Fault]]:
    """Every fault that a procedure may answer with, in the order of their statuses."""
    reads_body = (BodyTooLarge,) if procedure.body is not None else ()
    general = _EVERYWHERE + reads_body + (() if procedure.open else _AUTHENTICATED)
    return sorted(dict.fromkeys(general + procedure.faults), key=lambda fault: (fault.status, fault.code))


def _failures(procedure: Procedure[Any]) -> dict[str, Any]:
    by_status: dict[int, list[type[Fault]]] = {}
    for fault in faults_of(procedure):
        by_status.setdefault(fault.status, []).append(fault)
    return {str(status): _failure(procedure, status, faults) for status, faults in by_status.items()}


def _failure(procedure: Procedure[Any], status: int, faults: list[type[Fault]]) -> dict[str, Any]:
    kind = "RefusedRequest" if status in STATUSES_WITH_ERRORS else "Error"
    schema = {
        "type": "object",
        "properties": {
            "meta": {"$ref": "#/components/schemas/Meta"},
            "error": {"$ref": f"#/components/schemas/{kind}"},
        },
        "required": ["meta", "error"],
    }
    content = {"schema": schema, "examples": {_example_name(f): {"value": _example(f)} for f in faults}}
    retry = ("Retry-After",) if status == 429 else ()
    limits = () if status in (400, 401, 413) else _limit_headers(procedure)
    return {
        "description": "; ".join(dict.fromkeys(f"{fault.title}: `{fault.code}`" for fault in faults)),
        "headers": _headers("X-Request-ID", *retry, *limits),
        "content": dict.fromkeys(_media_types(procedure, status), content),
    }


def _media_types(procedure: Procedure[Any], status: int) -> tuple[str, ...]:
    if procedure.errors_as != "negotiated":
        return (_PROBLEM if procedure.errors_as == "problem" else _JSON,)
    if status == 429:
        return (_PROBLEM,)
    return (_JSON,) if status == 500 else (_JSON, _PROBLEM)


def _example_name(fault: type[Fault]) -> str:
    return fault.code.rpartition("/")[2]


def _example(fault: type[Fault]) -> dict[str, Any]:
    error: dict[str, Any] = {
        "title": fault.title,
        "detail": fault.default_detail or (fault.__doc__ or "").partition("\n")[0],
        "status": fault.status,
        "type": ERROR_TYPES + fault.code,
    }
    if fault.status in STATUSES_WITH_ERRORS:
        error["errors"] = []
    return {"meta": {"requestId": _REQUEST_ID}, "error": error}
