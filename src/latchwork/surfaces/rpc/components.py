"""What every operation of the OpenAPI document refers to: the envelope's schemas, and headers."""

from latchwork.surfaces.rpc.schemas import Schema

REQUEST_ID = "req_4sTq0XbZ1"
"""The request id of examples."""

ENVELOPE: dict[str, Schema] = {
    "Meta": {
        "type": "object",
        "description": "What is said about every answer.",
        "properties": {
            "requestId": {
                "type": "string",
                "description": "Names this request in logs; also sent as `X-Request-ID`.",
                "pattern": "^req_[0-9A-Za-z]{9}$",
                "examples": [REQUEST_ID],
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

HEADERS: dict[str, Schema] = {
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
