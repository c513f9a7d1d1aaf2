"""Namespaces in the family `ratelimit`: list, rename, delete, and reset what was counted."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.ratelimits import Namespace, NamespaceNotFound, NamespaceTaken
from latchwork.surfaces.rpc import ratelimits
from latchwork.surfaces.rpc.bodies import Body, Data, Empty
from latchwork.surfaces.rpc.procedures import Page
from latchwork.surfaces.rpc.ratelimits import Identifier
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import Cursor, Limit, paged

family = ratelimits.family  # namespaces add to it

Which = Annotated[str, Meta(min_length=1, max_length=512, description="The namespace's name or id.")]
Name = Annotated[str, Meta(min_length=1, max_length=512, description="What requests call it.")]


class ListNamespaces(Body):
    """Which namespaces, and which page of them."""

    limit: Limit = 100
    cursor: Cursor = ""
    search: Annotated[str, Meta(max_length=256, description="Part of the name or id, in any case.")] = ""


class NamespaceData(Data):
    """A namespace."""

    id: str
    name: str
    created_at: int
    override_count: int | UnsetType = UNSET

    @classmethod
    def of(cls, namespace: Namespace, override_count: int | UnsetType = UNSET) -> "NamespaceData":
        """The wire form."""
        return cls(
            id=namespace.id,
            name=namespace.name,
            created_at=namespace.created_at_ms,
            override_count=override_count,
        )


@family.procedure(
    "listNamespaces",
    answers=Page[NamespaceData],
    summary="List namespaces",
    permission="ratelimit.*.read_namespace",
    example={"search": "email"},
)
async def list_namespaces(call: Request, body: ListNamespaces) -> Page[NamespaceData]:
    """Answers the workspace's namespaces, oldest first, each with the number of its overrides."""
    found = await call.platform.namespaces.page(
        call.who, search=body.search, cursor=body.cursor, limit=body.limit + 1
    )
    items = [NamespaceData.of(namespace, count) for namespace, count in found]
    return paged(items, body.limit, [item.id for item in items])


class UpdateNamespace(Body):
    """Which namespace, and its new name."""

    namespace: Which
    name: Name


@family.procedure(
    "updateNamespace",
    answers=NamespaceData,
    summary="Rename a namespace",
    permission="ratelimit.*.update_namespace or ratelimit.<namespaceId>.update_namespace",
    faults=[NamespaceNotFound, NamespaceTaken],
    example={"namespace": "email.send", "name": "mail.send"},
)
async def update_namespace(call: Request, body: UpdateNamespace) -> NamespaceData:
    """Renames a namespace; its id, its overrides and what was counted stay.

    Whoever still limits under the old name makes a new namespace of that name, where they may.
    """
    return NamespaceData.of(await call.platform.namespaces.rename(call.who, body.namespace, body.name))


class DeleteNamespace(Body):
    """Which namespace."""

    namespace: Which


@family.procedure(
    "deleteNamespace",
    answers=Empty,
    summary="Delete a namespace",
    permission="ratelimit.*.delete_namespace or ratelimit.<namespaceId>.delete_namespace",
    faults=[NamespaceNotFound],
    example={"namespace": "email.send"},
)
async def delete_namespace(call: Request, body: DeleteNamespace) -> Empty:
    """Deletes a namespace; from this answer on `limit` answers 410 for it, and its name is not free again."""
    await call.platform.namespaces.delete(call.who, body.namespace)
    return Empty()


class ResetLimit(Body):
    """Whose count to forget, and why."""

    namespace: Which
    identifier: Identifier
    reason: Annotated[str, Meta(max_length=512, description="Why, for the audit log.")] | UnsetType = UNSET


@family.procedure(
    "resetLimit",
    answers=Empty,
    summary="Reset the limit of an identifier",
    permission="ratelimit.*.set_override or ratelimit.<namespaceId>.set_override",
    faults=[NamespaceNotFound],
    allows_nul=True,
    example={"namespace": "email.send", "identifier": "user_42", "reason": "Asked for by support."},
)
async def reset_limit(call: Request, body: ResetLimit) -> Empty:
    """Forgets what the identifier has taken, in force from this answer on; overrides stay."""
    await call.platform.namespaces.reset(
        call.who,
        namespace=ratelimits.storable(body.namespace, "namespace"),
        identifier=body.identifier,
        reason=None if isinstance(body.reason, UnsetType) else ratelimits.storable(body.reason, "reason"),
    )
    return Empty()
