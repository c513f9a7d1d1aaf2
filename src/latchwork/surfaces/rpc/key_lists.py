"""Lists of keys across APIs, in the family `keys`."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import AnalyticsNotConfigured, BadQuestion, QueryTimeout
from latchwork.domains.key_lists import KeyQuery, Sort
from latchwork.domains.keys import ApiNotFound
from latchwork.surfaces.rpc import key_access
from latchwork.surfaces.rpc.bodies import Body, Count, or_none
from latchwork.surfaces.rpc.procedures import Page
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import ApiId, KeyData, Limit

family = key_access.family  # this adds to it


class ListKeys(Body):
    """Which keys, in which order, and which page of them. Filters that are given must all hold."""

    limit: Limit = 100
    cursor: Annotated[
        str, Meta(max_length=4096, description="The `cursor` of the page before, in the same order.")
    ] = ""
    search: Annotated[
        str,
        Meta(
            max_length=256,
            description="Part of an id, a name, a start or an external id, whatever its case; "
            "or the SHA-256 of a whole key, in Base64 or as hexadecimal digits.",
        ),
    ] = ""
    api_id: Annotated[ApiId, Meta(description="Only keys of this API.")] | UnsetType = UNSET
    external_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Only keys of this identity.")]
        | UnsetType
    ) = UNSET
    enabled: bool | UnsetType = UNSET
    expires_before: (
        Annotated[Count, Meta(description="Only keys that expire before then, in milliseconds.")] | UnsetType
    ) = UNSET
    unused_since: (
        Annotated[Count, Meta(description="Only keys not used then or later, in milliseconds.")] | UnsetType
    ) = UNSET
    tag: (
        Annotated[
            str,
            Meta(min_length=1, max_length=512, description="Only keys that were verified with this tag."),
        ]
        | UnsetType
    ) = UNSET
    sort: Annotated[
        Sort, Meta(description="With a minus from the end. No name comes first, no expiry last.")
    ] = "createdAt"

    def record(self) -> KeyQuery:
        """The record."""
        return KeyQuery(
            search=self.search,
            api_id=or_none(self.api_id),
            external_id=or_none(self.external_id),
            enabled=or_none(self.enabled),
            expires_before_ms=or_none(self.expires_before),
            unused_since_ms=or_none(self.unused_since),
            tag=or_none(self.tag),
            sort=self.sort,
        )


@family.procedure(
    "listKeys",
    answers=Page[KeyData],
    summary="List keys across APIs",
    permission="api.*.read_key (or with `apiId`: api.<apiId>.read_key)",
    faults=[ApiNotFound, BadQuestion, AnalyticsNotConfigured, QueryTimeout],
    example={"search": "billing", "enabled": True, "sort": "-lastUsedAt", "limit": 50},
)
async def list_keys(call: Request, body: ListKeys) -> Page[KeyData]:
    """Answers the workspace's keys, disabled and expired ones too.

    A page holds fewer keys than `limit`, even none, where filters that many keys pass each leave few in all:
    then `hasMore` is true, and `cursor` goes on from where the search had come to. So no page takes long, however
    many keys there are. Uses are known a second later at the latest; those of another process some seconds later.
    A tag is looked for in what analytics have recorded.
    """
    found, cursor = await call.platform.key_lists.page(
        call.who, body.record(), cursor=body.cursor, limit=body.limit
    )
    return Page([KeyData.of(view) for view in found], cursor)
