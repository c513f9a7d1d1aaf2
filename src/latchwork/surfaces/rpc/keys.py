"""The family `keys`: issuing, reading, changing and deleting keys."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import AnalyticsNotConfigured, AnalyticsUnavailable, QueryTimeout
from latchwork.domains.credits import Change
from latchwork.domains.keys import ApiNotFound, CreditsChange, KeyChange, KeyNotFound, NewKey
from latchwork.domains.permissions import RoleNotFound
from latchwork.kernel.faults import BadRequest, PreconditionFailed
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Empty, JsonObject, TolerantBody, or_none
from latchwork.surfaces.rpc.procedures import Family
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import (
    LATEST_MS,
    ApiId,
    CreditsBody,
    CreditsData,
    Expiry,
    ExternalId,
    IpList,
    KeyData,
    KeyId,
    Limits,
    Operation,
    OperationValue,
    RefillBody,
    RoleName,
    Slugs,
    credits_change,
)

family: Family[Services] = Family("keys", "Keys: issue them, verify them, explain them, change them.")

Name = Annotated[str, Meta(min_length=1, max_length=255, description="A name for people.")]
Roles = Annotated[list[RoleName], Meta(max_length=100, description="Names of roles; each must exist.")]


class CreateKey(Body):
    """What is asked of a new key."""

    api_id: ApiId
    prefix: (
        Annotated[
            str,
            Meta(
                min_length=1, max_length=16, pattern=r"^[a-zA-Z0-9_]+$", description="Comes before the text."
            ),
        ]
        | UnsetType
    ) = UNSET
    name: Name | UnsetType = UNSET
    byte_length: (
        Annotated[int, Meta(ge=16, le=255, description="Random bytes; 16 by default.")] | UnsetType
    ) = UNSET
    external_id: ExternalId | UnsetType = UNSET
    meta: JsonObject | UnsetType = UNSET
    roles: Roles = []
    permissions: Slugs = []
    expires: Expiry | UnsetType = UNSET
    credits: CreditsBody | UnsetType = UNSET
    ratelimits: Limits = []
    enabled: bool = True
    recoverable: Annotated[bool, Meta(description="Whether the text can be read again later.")] = False
    ip_whitelist: IpList = []

    def record(self) -> NewKey:
        """The record; raises `BadRequest`."""
        return NewKey(
            prefix=or_none(self.prefix),
            name=or_none(self.name),
            byte_length=or_none(self.byte_length),
            external_id=or_none(self.external_id),
            meta=or_none(self.meta),
            roles=tuple(self.roles),
            permissions=tuple(self.permissions),
            expires_ms=or_none(self.expires),
            credits=None if isinstance(self.credits, UnsetType) else self.credits.balance(),
            limits=tuple(limit.rule() for limit in self.ratelimits),
            enabled=self.enabled,
            recoverable=self.recoverable,
            ip_whitelist=tuple(self.ip_whitelist),
        )


class CreatedKey(Data):
    """The new key. `key` is its text: it cannot be had again."""

    key_id: str
    key: str


@family.procedure(
    "createKey",
    answers=CreatedKey,
    summary="Create a key",
    permission="api.*.create_key or api.<apiId>.create_key (and encrypt_key where recoverable)",
    faults=[ApiNotFound, RoleNotFound, PreconditionFailed],
    example={
        "apiId": "api_1234567890",
        "prefix": "prod",
        "externalId": "user_42",
        "credits": {"remaining": 1000},
        "ratelimits": [{"name": "requests", "limit": 100, "duration": 60000, "autoApply": True}],
    },
)
async def create_key(call: Request, body: CreateKey) -> CreatedKey:
    """Issues a key; its text is in this answer and nowhere else. An API you may not use is not found."""
    minted = await call.platform.keys.create(call.who, body.api_id, body.record())
    return CreatedKey(key_id=minted.key_id, key=minted.key)


class GetKey(Body):
    """Which key."""

    key_id: KeyId
    decrypt: Annotated[bool, Meta(description="Also answer the text, where the key is recoverable.")] = False
    usage: Annotated[bool, Meta(description="Also count how its verifications of 30 days ended.")] = False


@family.procedure(
    "getKey",
    answers=KeyData,
    summary="Get a key",
    permission="api.*.read_key or api.<apiId>.read_key (and decrypt_key to decrypt)",
    faults=[KeyNotFound, PreconditionFailed, AnalyticsNotConfigured, AnalyticsUnavailable, QueryTimeout],
    example={"keyId": "key_1234567890"},
)
async def get_key(call: Request, body: GetKey) -> KeyData:
    """Answers a key with its permissions, roles, limits, credits and identity; disabled and expired ones too."""
    view = await call.platform.keys.get(call.who, body.key_id, decrypt=body.decrypt)
    return KeyData.of(view, await call.platform.key_usage.lately(view.key) if body.usage else None)


class Whoami(Body):
    """The text of a key."""

    key: Annotated[str, Meta(min_length=1, max_length=512, description="The whole key.")]


@family.procedure(
    "whoami",
    answers=KeyData,
    summary="Find a key by its text",
    permission="api.*.read_key or api.<apiId>.read_key",
    faults=[KeyNotFound],
    example={"key": "prod_2aFxQv7p1M5jZ8cR4kTnYe"},
)
async def whoami(call: Request, body: Whoami) -> KeyData:
    """Answers the key whose text this is; nothing is consumed. At most 100 a minute for each root key."""
    await call.platform.callers.charge_whoami(call.who)
    return KeyData.of(await call.platform.keys.whoami(call.who, body.key))


class UpdateCreditsOf(Body):
    """New credits within `updateKey`: what is absent stays, null clears."""

    remaining: Count | UnsetType | None = UNSET
    refill: RefillBody | UnsetType | None = UNSET

    def record(self) -> CreditsChange:
        """The record; without credits there is nothing to refill."""
        refill = self.refill.record(strict=True) if isinstance(self.refill, RefillBody) else self.refill
        if self.remaining is None:
            if isinstance(refill, UnsetType) or refill is None:
                return CreditsChange(remaining=None, refill=None)
            raise BadRequest("`credits.refill` needs `credits.remaining` to be a number.")
        return CreditsChange(remaining=self.remaining, refill=refill)


class UpdateKey(Body):
    """What to change: absent stays, null clears, a list replaces the whole list."""

    key_id: KeyId
    name: Name | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    meta: JsonObject | UnsetType | None = UNSET
    expires: Expiry | UnsetType | None = UNSET
    credits: UpdateCreditsOf | UnsetType | None = UNSET
    ratelimits: Limits | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    permissions: Slugs | UnsetType = UNSET
    ip_whitelist: IpList | UnsetType = UNSET

    def record(self) -> KeyChange:
        """The record; raises `BadRequest`."""
        return KeyChange(
            name=self.name,
            external_id=self.external_id,
            meta=self.meta,
            expires_ms=self.expires,
            enabled=self.enabled,
            credits=self.credits.record() if isinstance(self.credits, UpdateCreditsOf) else self.credits,
            limits=(
                self.ratelimits
                if isinstance(self.ratelimits, UnsetType)
                else tuple(limit.rule() for limit in self.ratelimits or ())
            ),
            roles=self.roles if isinstance(self.roles, UnsetType) else tuple(self.roles),
            permissions=(
                self.permissions if isinstance(self.permissions, UnsetType) else tuple(self.permissions)
            ),
            ip_whitelist=(
                self.ip_whitelist if isinstance(self.ip_whitelist, UnsetType) else tuple(self.ip_whitelist)
            ),
        )


@family.procedure(
    "updateKey",
    answers=KeyData,
    summary="Change a key",
    permission="api.*.update_key or api.<apiId>.update_key",
    faults=[KeyNotFound, RoleNotFound],
    example={"keyId": "key_1234567890", "enabled": False, "name": None},
)
async def update_key(call: Request, body: UpdateKey) -> KeyData:
    """Changes what is given, all or nothing, in force from this answer on; answers the key."""
    return KeyData.of(await call.platform.keys.update(call.who, body.key_id, body.record()))


class DeleteKey(Body):
    """Which key."""

    key_id: KeyId
    permanent: Annotated[bool, Meta(description="Remove every trace but the audit log.")] = False


@family.procedure(
    "deleteKey",
    methods=("POST", "DELETE"),
    answers=Empty,
    summary="Delete a key",
    permission="api.*.delete_key or api.<apiId>.delete_key",
    faults=[KeyNotFound],
    example={"keyId": "key_1234567890"},
)
async def delete_key(call: Request, body: DeleteKey) -> Empty:
    """Deletes a key; from this answer on it is refused. DELETE also takes the members in the query."""
    await call.platform.keys.delete(call.who, body.key_id, permanent=body.permanent)
    return Empty()


class RerollKey(TolerantBody):
    """Which key, and how long the old one lives on."""

    key_id: KeyId
    expiration: Annotated[
        Annotated[int, Meta(ge=0, le=LATEST_MS)] | None,
        Meta(
            description="For how long the old key stays usable, in milliseconds; rounded up to a full minute, "
            "0 ends it at once, null leaves its own expiry as it is."
        ),
    ]


@family.procedure(
    "rerollKey",
    answers=CreatedKey,
    summary="Replace a key by a new one",
    permission="api.*.create_key or api.<apiId>.create_key (and encrypt_key where the key is recoverable)",
    faults=[KeyNotFound, PreconditionFailed],
    example={"keyId": "key_1234567890", "expiration": 86_400_000},
)
async def reroll_key(call: Request, body: RerollKey) -> CreatedKey:
    """Issues a new key with everything the old one has: name, owner, permissions, limits, credits, expiry.

    Its prefix and length are the old one's, where they are known. Both have the same `lineageId`, which
    names the key across all rerolls. A time of grace never prolongs the old key.
    """
    minted = await call.platform.keys.reroll(call.who, body.key_id, grace_ms=body.expiration)
    return CreatedKey(key_id=minted.key_id, key=minted.key)


class UpdateCredits(Body):
    """What to do to a key's credits."""

    key_id: Annotated[str, Meta(min_length=3, max_length=255, description="The key's id.")]
    operation: Operation
    value: OperationValue = UNSET

    def record(self) -> Change:
        """The record; raises `BadRequest` where a number is needed."""
        return credits_change(self.operation, self.value)


@family.procedure(
    "updateCredits",
    answers=CreditsData,
    summary="Set, raise or lower a key's credits",
    permission="api.*.update_key or api.<apiId>.update_key",
    faults=[KeyNotFound],
    example={"keyId": "key_1234567890", "operation": "increment", "value": 500},
)
async def update_credits(call: Request, body: UpdateCredits) -> CreditsData:
    """Changes the credits exactly, whatever is being spent meanwhile. A decrement stops at 0."""
    return CreditsData.of(await call.platform.keys.update_credits(call.who, body.key_id, body.record()))


class UpdateRemaining(Body):
    """What to do to a key's remaining credits."""

    key_id: Annotated[str, Meta(min_length=3, max_length=255, description="The key's id.")]
    op: Operation
    value: Annotated[Count | None, Meta(description="null, with set, makes it unlimited.")]


class RemainingData(Data):
    """What remains; null is unlimited."""

    remaining: int | None


@family.procedure(
    "updateRemaining",
    methods=("PUT", "POST"),
    answers=RemainingData,
    summary="Set, raise or lower a key's remaining credits",
    permission="api.*.update_key or api.<apiId>.update_key",
    faults=[KeyNotFound],
    example={"keyId": "key_1234567890", "op": "set", "value": 100},
)
async def update_remaining(call: Request, body: UpdateRemaining) -> RemainingData:
    """Does what `updateCredits` does, in the words of the version before."""
    change = credits_change(body.op, body.value)
    balance = await call.platform.keys.update_credits(call.who, body.key_id, change)
    return RemainingData(remaining=None if balance is None else balance.remaining)
