"""The OpenAPI 3.1 document of the RPC surface, made from the same table that serves it."""

import inspect
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
from latchwork.kernel.principal import lacking
from latchwork.surfaces.http.bulkhead import Overloaded
from latchwork.surfaces.http.faults import (
    ERROR_PAGES,
    BodyTooLarge,
    RequestTimeout,
    Unexpected,
    UnsupportedEncoding,
)
from latchwork.surfaces.rpc.admission import Allowance
from latchwork.surfaces.rpc.components import ENVELOPE, HEADERS, REQUEST_ID
from latchwork.surfaces.rpc.envelope import STATUSES_WITH_ERRORS
from latchwork.surfaces.rpc.examples import example_of
from latchwork.surfaces.rpc.faults import MalformedAuthorization
from latchwork.surfaces.rpc.procedures import BODY_BYTES, Family, Method, Page, Procedure, Spread
from latchwork.surfaces.rpc.schemas import Schema, components_of, schema_of

_JSON = "application/json"
_PROBLEM = "application/problem+json"
FaultTypes = Sequence[type[Fault]]
_EVERYWHERE: FaultTypes = (BadRequest, RequestTimeout, Unexpected, Unavailable, Overloaded)
_AUTHENTICATED: FaultTypes = (
    MalformedAuthorization,
    Unauthorized,
    InsufficientPermissions,
    TooManyRequests,
)

_DETAILS: dict[type[Fault], str] = {
    InsufficientPermissions: lacking("api", "api_1234567890", "create_key"),
    TooManyRequests: Allowance(limit=600, remaining=0, reset_s=17).refusal().detail,
    BodyTooLarge: BodyTooLarge.over(BODY_BYTES).detail,
}
"""Examples of the sentences that have no fixed wording."""


def document(families: Sequence[Family[Any]], admission_faults: FaultTypes = ()) -> dict[str, Any]:
    """OpenAPI 3.1 for every procedure of `families`, with every status each may answer.

    `admission_faults` are those that authentication raises besides what is known here.
    """
    procedures = [p for family in families for p in family.procedures]
    shapes = _shapes(procedures)
    schemas, components = components_of(list(shapes))
    named = dict(zip(shapes, schemas, strict=True))
    taken = components.keys() & ENVELOPE.keys()
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
        "paths": _paths(procedures, named, admission_faults),
        "components": {
            "schemas": ENVELOPE | components,
            "headers": HEADERS,
            "securitySchemes": _schemes(procedures),
        },
    }


_INTRODUCTION = """\
Issue API keys, verify them, limit and meter their use, and explain every decision.

Each procedure is one address; requests and answers are JSON. A success carries `meta` and `data`, a
failure `meta` and `error`. The outcome of a verification is data, never an error: a key that may not
pass is a 200 that says so. Every procedure needs a root key in the `Authorization` header, but those that
are open and those that name another security scheme.

Where a body has two members of the same name, or a query a parameter twice that is no list, the last one counts.
"""

_ROOT_KEY: Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "ROOT_KEY",
    "description": "A root key of the workspace.",
}


def _schemes(procedures: Iterable[Procedure[Any]]) -> dict[str, Schema]:
    schemes = {"rootKey": _ROOT_KEY}
    for procedure in procedures:
        if procedure.credential is not None:
            schemes |= procedure.credential.schemes
    return schemes


def _security(procedure: Procedure[Any]) -> list[dict[str, list[str]]]:
    """Alternatives, any one of which will do."""
    if procedure.open:
        return []
    return [{name: []} for name in (procedure.credential.schemes if procedure.credential else ("rootKey",))]


def _shapes(procedures: Iterable[Procedure[Any]]) -> list[Any]:
    shapes: list[Any] = []
    for procedure in procedures:
        for shape in (procedure.body, _answered(procedure)):
            if shape is not None and shape not in shapes:
                shapes.append(shape)
    return shapes


def _answered(procedure: Procedure[Any]) -> Any:
    return get_args(procedure.answers)[0] if _is(procedure, Page, Spread) else procedure.answers


def _is(procedure: Procedure[Any], *kinds: type[Any]) -> bool:
    return get_origin(procedure.answers) in kinds


def _paths(
    procedures: Iterable[Procedure[Any]], named: Mapping[Any, Schema], admission_faults: FaultTypes
) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for procedure in procedures:
        failures = _failures(procedure, admission_faults)
        for method in procedure.methods:
            operation = _operation(procedure, method, named)
            operation["responses"] |= failures
            paths.setdefault(procedure.path, {})[method.lower()] = operation
    return paths


def _operation(procedure: Procedure[Any], method: Method, named: Mapping[Any, Schema]) -> dict[str, Any]:
    suffix = "" if method == procedure.methods[0] == "POST" else f".{method.lower()}"
    operation: dict[str, Any] = {
        "operationId": f"{procedure.family}.{procedure.name}{suffix}",
        "tags": [procedure.family],
        "summary": procedure.summary,
        "description": _description(procedure),
        "security": _security(procedure),
        "responses": {str(procedure.status): _success(procedure, named)},
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
        return {"parameters": _parameters(schema_of(procedure.body), procedure.example or {})}
    inlined = schema_of(procedure.body)
    example = example_of(inlined) if procedure.example is None else procedure.example
    content = {"schema": named[procedure.body], "example": example}
    required = bool(inlined.get("required")) or "items" in inlined
    return {"requestBody": {"required": required, "content": {_JSON: content}}}


def _parameters(schema: Schema, examples: Mapping[str, Any]) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": field.get("description", ""),
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        | ({"example": examples[name]} if name in examples else {})
        for name, field in schema["properties"].items()
    ]


def _success(procedure: Procedure[Any], named: Mapping[Any, Schema]) -> dict[str, Any]:
    properties: dict[str, Schema] = {"meta": {"$ref": "#/components/schemas/Meta"}}
    beside: Schema = {"allOf": [named[_answered(procedure)]]} if _is(procedure, Spread) else {}
    if procedure.answers is not None and not beside:
        data = named[_answered(procedure)]
        properties["data"] = {"type": "array", "items": data} if _is(procedure, Page) else data
    if _is(procedure, Page):
        properties["pagination"] = {"$ref": "#/components/schemas/Pagination"}
    schema = beside | {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "description": "Done.",
        "headers": _headers("X-Request-ID", *_limit_headers(procedure)),
        "content": {_JSON: {"schema": schema}},
    }


def _limit_headers(procedure: Procedure[Any]) -> tuple[str, ...]:
    return () if procedure.open else ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def faults_of(procedure: Procedure[Any], admission_faults: FaultTypes = ()) -> list[type[Fault]]:
    """Every fault that a procedure may answer with, in the order of their statuses."""
    found = [*_EVERYWHERE, *procedure.faults]
    if procedure.body is not None:
        found += [BodyTooLarge, UnsupportedEncoding]
    if procedure.credential is not None:
        found += [*procedure.credential.faults, TooManyRequests]
    elif not procedure.open:
        found += [*_AUTHENTICATED, *admission_faults]
    return sorted(dict.fromkeys(found), key=lambda fault: (fault.status, fault.code))


def _failures(procedure: Procedure[Any], admission_faults: FaultTypes) -> dict[str, Any]:
    by_status: dict[int, list[type[Fault]]] = {}
    for fault in faults_of(procedure, admission_faults):
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
    limits = () if status in (400, 401, 413, 415) else _limit_headers(procedure)
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
        "detail": _DETAILS.get(fault) or fault.default_detail or inspect.getdoc(fault),
        "status": fault.status,
        "type": ERROR_PAGES + fault.code,
    }
    if fault.status in STATUSES_WITH_ERRORS:
        error["errors"] = []
    return {"meta": {"requestId": REQUEST_ID}, "error": error}
