"""The family `apis`: APIs, and the keys in them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.keys import Api, ApiChange, ApiNotFound, DeleteProtected
from latchwork.kernel.faults import PreconditionFailed
from latchwork.surfaces.rpc.bodies import Body, Data, Empty
from latchwork.surfaces.rpc.procedures import Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import Cursor, IpList, KeyData, Limit, paged

family: Family[Services] = Family("apis", "APIs group keys; every key belongs to one.")

ApiIdOf = Annotated[
    str, Meta(min_length=8, max_length=255, pattern=r"^[a-zA-Z0-9_]+$", description="The API's id.")
]
ApiName = Annotated[
    str, Meta(min_length=3, max_length=256, description="A name for people; need not be unique.")
]


class CreateApi(Body):
    """A new API."""

    name: ApiName


class CreatedApi(Data):
    """The id of the new API."""

    api_id: str


@family.procedure(
    "createApi",
    answers=CreatedApi,
    summary="Create an API",
    permission="api.*.create_api",
    example={"name": "payments"},
)
async def create_api(call: Request, body: CreateApi) -> CreatedApi:
    """Creates an API with an empty keyspace of its own."""
    api = await call.platform.apis.create(call.who, name=body.name)
    return CreatedApi(api_id=api.id)


class GetApi(Body):
    """Which API."""

    api_id: ApiIdOf


class ApiData(Data):
    """An API and its settings."""

    id: str
    name: str
    keyspace_id: str
    created_at: int
    delete_protection: bool = False
    ip_whitelist: list[str] | UnsetType = UNSET
    default_prefix: str | UnsetType = UNSET
    default_byte_length: int | UnsetType = UNSET
    store_encrypted_keys: bool = False
    analytics: Literal["full", "sampled", "off"] = "full"
    stale_ok_seconds: int = 0
    key_count: int | UnsetType = UNSET

    @classmethod
    def of(cls, api: Api, key_count: int | UnsetType = UNSET) -> "ApiData":
        """The wire form."""
        return cls(
            id=api.id,
            name=api.name,
            keyspace_id=api.keyspace_id,
            created_at=api.created_ms,
            delete_protection=api.delete_protection,
            ip_whitelist=list(api.ip_whitelist) or UNSET,
            default_prefix=api.default_prefix or UNSET,
            default_byte_length=api.default_byte_length or UNSET,
            store_encrypted_keys=api.store_encrypted_keys,
            analytics=api.analytics,  # type: ignore[arg-type]
            stale_ok_seconds=api.stale_ok_s,
            key_count=key_count,
        )


@family.procedure(
    "getApi",
    answers=ApiData,
    summary="Get an API",
    permission="api.*.read_api or api.<apiId>.read_api",
    faults=[ApiNotFound],
    example={"apiId": "api_1234567890"},
)
async def get_api(call: Request, body: GetApi) -> ApiData:
    """Answers an API with its settings. What is at its default is left out."""
    return ApiData.of(await call.platform.apis.get(call.who, body.api_id))


class ListApis(Body):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor = ""


@family.procedure(
    "listApis",
    answers=Page[ApiData],
    summary="List APIs",
    permission="api.*.read_api",
    example={"limit": 50},
)
async def list_apis(call: Request, body: ListApis) -> Page[ApiData]:
    """Answers the workspace's APIs, oldest first, each with the number of its keys."""
    found = await call.platform.apis.page(call.who, cursor=body.cursor, limit=body.limit + 1)
    items = [ApiData.of(api, count) for api, count in found]
    return paged(items, body.limit, [api.id for api, _ in found])


class UpdateApi(Body):
    """What to change; what is absent stays."""

    api_id: ApiIdOf
    name: ApiName | UnsetType = UNSET
    delete_protection: Annotated[bool, Meta(description="Refuses deletion while true.")] | UnsetType = UNSET
    ip_whitelist: IpList | UnsetType = UNSET
    default_prefix: (
        Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[a-zA-Z0-9_]+$")] | UnsetType | None
    ) = UNSET
    default_byte_length: Annotated[int, Meta(ge=16, le=255)] | UnsetType | None = UNSET
    store_encrypted_keys: bool | UnsetType = UNSET
    analytics: (
        Annotated[
            Literal["full", "sampled", "off"],
            Meta(description="Record every verification, one in ten, or none."),
        ]
        | UnsetType
    ) = UNSET
    stale_ok_seconds: Annotated[int, Meta(ge=0, le=86_400)] | UnsetType = UNSET


@family.procedure(
    "updateApi",
    answers=ApiData,
    summary="Change an API's settings",
    permission="api.*.update_api or api.<apiId>.update_api",
    faults=[ApiNotFound],
    example={"apiId": "api_1234567890", "deleteProtection": True, "ipWhitelist": ["192.0.2.0/24"]},
)
async def update_api(call: Request, body: UpdateApi) -> ApiData:
    """Changes what is given, at once for every key of the API, and answers the API."""
    addresses = body.ip_whitelist
    change = ApiChange(
        name=body.name,
        delete_protection=body.delete_protection,
        ip_whitelist=addresses if isinstance(addresses, UnsetType) else tuple(addresses),
        default_prefix=body.default_prefix,
        default_byte_length=body.default_byte_length,
        store_encrypted_keys=body.store_encrypted_keys,
        analytics=body.analytics,
        stale_ok_s=body.stale_ok_seconds,
    )
    return ApiData.of(await call.platform.apis.update(call.who, body.api_id, change))


class DeleteApi(Body):
    """Which API."""

    api_id: ApiIdOf


@family.procedure(
    "deleteApi",
    answers=Empty,
    summary="Delete an API",
    permission="api.*.delete_api or api.<apiId>.delete_api",
    faults=[ApiNotFound, DeleteProtected],
    example={"apiId": "api_1234567890"},
)
async def delete_api(call: Request, body: DeleteApi) -> Empty:
    """Deletes an API; from this answer on none of its keys verifies."""
    await call.platform.apis.delete(call.who, body.api_id)
    return Empty()


class DeleteKeys(Body):
    """Which API's keys."""

    api_id: ApiIdOf
    permanent: Annotated[bool, Meta(description="Remove every trace but the audit log.")] = False


class DeletedKeys(Data):
    """How many keys were deleted, with `permanent` those too that had been deleted before."""

    deleted_keys: int


@family.procedure(
    "deleteKeys",
    answers=DeletedKeys,
    summary="Delete all keys of an API",
    permission="api.*.delete_key or api.<apiId>.delete_key",
    faults=[ApiNotFound],
    example={"apiId": "api_1234567890"},
)
async def delete_keys(call: Request, body: DeleteKeys) -> DeletedKeys:
    """Deletes every key that the API has; the API stays, and may be given new ones.

    Each key is refused from its own deletion on, all of them from this answer on. It is done in steps of
    some hundred keys: after a failure in between, ask again for the rest.
    """
    count = await call.platform.keys.delete_all(call.who, body.api_id, permanent=body.permanent)
    return DeletedKeys(deleted_keys=count)


class ListKeys(Body):
    """Which keys, and which page of them."""

    api_id: Annotated[str, Meta(min_length=1, max_length=255, description="The API's id.")]
    limit: Limit = 100
    cursor: Cursor = ""
    external_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Only keys of this identity.")]
        | UnsetType
    ) = UNSET
    decrypt: Annotated[bool, Meta(description="Also answer the text of recoverable keys.")] = False
    revalidate_keys_cache: Annotated[bool, Meta(description="Accepted; lists are never cached.")] = False


@family.procedure(
    "listKeys",
    answers=Page[KeyData],
    summary="List the keys of an API",
    permission="api.<apiId>.read_key and api.<apiId>.read_api (or with *)",
    faults=[ApiNotFound, PreconditionFailed],
    example={"apiId": "api_1234567890", "limit": 100},
)
async def list_keys(call: Request, body: ListKeys) -> Page[KeyData]:
    """Answers an API's keys, oldest first, disabled and expired ones too; an API you may not see is not found."""
    wanted = None if isinstance(body.external_id, UnsetType) else body.external_id
    found = await call.platform.keys.page(
        call.who,
        body.api_id,
        external_id=wanted,
        cursor=body.cursor,
        limit=body.limit + 1,
        decrypt=body.decrypt,
    )
    return paged([KeyData.of(view) for view in found], body.limit, [view.key.id for view in found])
