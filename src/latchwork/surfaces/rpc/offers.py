"""More of the family `migrations`: keys made at once, or in the background, from their texts or hashes."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.credits import Balance, Refill
from latchwork.domains.jobs import Failure, Job, JobNotFound, State, TooManyJobs
from latchwork.domains.keys import ApiNotFound, NewKey
from latchwork.domains.keys.rules import digest_of, start_of
from latchwork.domains.migrations import ForeignKey, KeyAlreadyExists, MigrationNotFound, Offer
from latchwork.domains.ratelimits import LimitRule
from latchwork.kernel.faults import BadRequest, PreconditionFailed
from latchwork.kernel.ids import new_id
from latchwork.surfaces.rpc import migrations
from latchwork.surfaces.rpc.bodies import Body, Count, Data, JsonObject, Positive, TolerantBody, or_none
from latchwork.surfaces.rpc.keys import Name
from latchwork.surfaces.rpc.migrations import ForeignExternalId, Hash, MigrationId, digest_in, naming
from latchwork.surfaces.rpc.procedures import BULK_BYTES
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import ApiId, Duration, Expiry, RoleName, Slugs

family = migrations.family  # this file adds to it

_LIMIT_NAME = "default"
_MONTH_BEGINS = 1
Shown = Annotated[str, Meta(min_length=1, max_length=64, description="What may be shown of it.")]
_Prefix = Annotated[
    str, Meta(min_length=1, max_length=8, pattern=r"^[a-zA-Z0-9_]+$", description="Its beginning.")
]
_OwnerId = Annotated[
    str, Meta(min_length=1, max_length=255, description="The older name of `externalId`, which wins.")
]
_Environment = Annotated[
    str, Meta(max_length=255, description="Accepted for the sake of older clients, and not kept.")
]


class HashOf(Body):
    """A hash, and how it was made and written."""

    value: Hash
    variant: Literal["sha256_base64", "sha256_hex"] = "sha256_base64"


class RefillOf(Body):
    """A refill; a monthly one on the first where no day is given."""

    interval: Literal["daily", "monthly"]
    amount: Positive
    refill_day: Annotated[int, Meta(ge=1, le=31)] | UnsetType = UNSET

    def record(self) -> Refill:
        """The record; raises `BadRequest`."""
        day = or_none(self.refill_day)
        if self.interval == "monthly":
            return Refill("monthly", self.amount, day or _MONTH_BEGINS)
        if day is not None:
            raise BadRequest("`refill.refillDay` is not allowed when the interval is daily.")
        return Refill("daily", self.amount)


class RatelimitOf(TolerantBody):
    """The one limit of a key of the older kind, applied to every verification; it is called `default` here."""

    limit: Positive | UnsetType = UNSET
    duration: Duration | UnsetType = UNSET
    refill_rate: Positive | UnsetType = UNSET
    refill_interval: Duration | UnsetType = UNSET

    def rule(self) -> LimitRule:
        """The record; raises `BadRequest`."""
        limit = or_none(self.limit) or or_none(self.refill_rate)
        duration_ms = or_none(self.duration) or or_none(self.refill_interval)
        if limit is None or duration_ms is None:
            raise BadRequest("`ratelimit` needs `limit` and `duration`.")
        return LimitRule(new_id("rl"), _LIMIT_NAME, limit, duration_ms, auto_apply=True)


class OfferedKey(Body, kw_only=True):
    """A key to make: from its text, or from a hash of it."""

    plaintext: (
        Annotated[str, Meta(min_length=1, max_length=512, description="The whole key.")] | UnsetType
    ) = UNSET
    hash: HashOf | UnsetType = UNSET
    start: Shown | UnsetType = UNSET
    prefix: _Prefix | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    external_id: ForeignExternalId | UnsetType = UNSET
    owner_id: _OwnerId | UnsetType = UNSET
    meta: JsonObject | UnsetType = UNSET
    roles: Annotated[
        list[RoleName], Meta(max_length=100, description="Names of roles; each must exist.")
    ] = []
    permissions: Slugs = []
    expires: Expiry | UnsetType = UNSET
    remaining: Positive | UnsetType = UNSET
    refill: RefillOf | UnsetType = UNSET
    ratelimit: RatelimitOf | UnsetType = UNSET
    enabled: bool = True
    environment: _Environment | UnsetType = UNSET

    def offer(self, api_id: str, place: str) -> Offer:
        """The record; raises `BadRequest` that names what is wrong with the key at `place`."""
        with naming(place):
            wanted = NewKey(
                name=or_none(self.name),
                external_id=or_none(self.external_id) or or_none(self.owner_id),
                meta=or_none(self.meta),
                roles=tuple(self.roles),
                permissions=tuple(self.permissions),
                expires_ms=or_none(self.expires),
                credits=self._credits(),
                limits=() if isinstance(self.ratelimit, UnsetType) else (self.ratelimit.rule(),),
                enabled=self.enabled,
            )
            return Offer(api_id, ForeignKey(self._digest(), wanted, self._start()), or_none(self.plaintext))

    def _digest(self) -> bytes:
        if isinstance(self.plaintext, UnsetType) == isinstance(self.hash, UnsetType):
            raise BadRequest("Give either `plaintext` or `hash`.")
        if isinstance(self.hash, UnsetType):
            return digest_of(str(self.plaintext))
        return digest_in(self.hash.value, "hash.value")

    def _start(self) -> str:
        """What may be shown: as given, else of the text what is shown of keys issued here."""
        if not isinstance(self.start, UnsetType):
            return self.start
        text, prefix = or_none(self.plaintext), or_none(self.prefix)
        if text is None or prefix is None or not text.startswith(f"{prefix}_"):
            return ""
        return start_of(text, prefix)

    def _credits(self) -> Balance | None:
        refill = None if isinstance(self.refill, UnsetType) else self.refill.record()
        if isinstance(self.remaining, UnsetType):
            if refill is not None:
                raise BadRequest("`refill` needs `remaining`.")
            return None
        return Balance(self.remaining, refill)


class KeyOfApi(OfferedKey, kw_only=True):
    """A key to make in an API."""

    api_id: ApiId


class MadeKeys(Data):
    """The ids of the keys, in the order of the request."""

    key_ids: list[str]


@family.procedure(
    "createKeys",
    answers=MadeKeys,
    summary="Make keys from their texts or hashes",
    permission="api.*.create_key or api.<apiId>.create_key (and encrypt_key for each plaintext)",
    faults=[ApiNotFound, PreconditionFailed, KeyAlreadyExists],
    body_bytes=BULK_BYTES,
    example=[
        {
            "apiId": "api_1234567890",
            "hash": {"value": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "variant": "sha256_base64"},
            "start": "prod_2aFx",
            "externalId": "user_42",
        }
    ],
)
async def create_keys(
    call: Request, body: Annotated[list[KeyOfApi], Meta(min_length=1, max_length=100)]
) -> MadeKeys:
    """Makes every key or none; they verify at once under their old texts.

    Permissions and roles must exist. A plaintext is kept only by an API that stores recoverable keys, encrypted.
    """
    wanted = [key.offer(key.api_id, f"[{place}]") for place, key in enumerate(body)]
    return MadeKeys(key_ids=await call.platform.migrations.create_keys(call.who, wanted))


class EnqueueKeys(Body):
    """Keys to make in an API, by and by."""

    migration_id: MigrationId
    api_id: ApiId
    keys: Annotated[list[OfferedKey], Meta(min_length=1, max_length=100)]


class QueuedJob(Data):
    """The job; `migrations.getJob` tells how it goes."""

    job_id: str


@family.procedure(
    "enqueueKeys",
    answers=QueuedJob,
    summary="Make keys in the background",
    permission="api.*.create_key or api.<apiId>.create_key (and encrypt_key for each plaintext)",
    faults=[ApiNotFound, MigrationNotFound, PreconditionFailed, TooManyJobs],
    body_bytes=BULK_BYTES,
    status=202,
    example={
        "migrationId": "mig_1234567890",
        "apiId": "api_1234567890",
        "keys": [{"hash": {"value": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}, "name": "first"}],
    },
)
async def enqueue_keys(call: Request, body: EnqueueKeys) -> QueuedJob:
    """Queues keys, each of which is made exactly once or fails by itself; 202 says that they are written down.

    Hashes are of what the migration's algorithm says. At most 100 jobs of a workspace may be unfinished.
    """
    wanted = [key.offer(body.api_id, f"keys[{place}]") for place, key in enumerate(body.keys)]
    job_id = await call.platform.migrations.enqueue_keys(call.who, body.migration_id, body.api_id, wanted)
    return QueuedJob(job_id=job_id)


class GetJob(Body):
    """Which job."""

    job_id: Annotated[str, Meta(min_length=3, max_length=255, description="A job's id.")]


class CountsData(Data):
    """How many items there are, and how many of them went well, failed, or are still to come."""

    total: int
    succeeded: Count
    failed: Count
    pending: Count


class FailureData(Data):
    """An item that failed: its place in the request from 0, and why."""

    index: int
    code: str
    detail: str


class JobData(Data):
    """How a job stands. `failures` are of single items; `error` says why the whole job was given up."""

    job_id: str
    state: State
    counts: CountsData
    failures: list[FailureData]
    created_at: int
    started_at: int | UnsetType = UNSET
    finished_at: int | UnsetType = UNSET
    error: str | UnsetType = UNSET

    @classmethod
    def of(cls, job: Job, failures: list[Failure]) -> "JobData":
        """The wire form."""
        given: dict[str, Any] = {
            "started_at": job.started_ms,
            "finished_at": job.finished_ms,
            "error": job.error,
        }
        return cls(
            job_id=job.id,
            state=job.state,
            counts=CountsData(
                total=job.total,
                succeeded=job.succeeded,
                failed=job.failed,
                pending=job.total - job.position,
            ),
            failures=[
                FailureData(index=each.position, code=each.code, detail=each.detail) for each in failures
            ],
            created_at=job.created_ms,
            **{name: value for name, value in given.items() if value is not None},
        )


@family.procedure(
    "getJob",
    answers=JobData,
    summary="Look at a job",
    permission="api.*.create_key or api.<apiId>.create_key",
    faults=[JobNotFound],
    example={"jobId": "job_1234567890"},
)
async def get_job(call: Request, body: GetJob) -> JobData:
    """Answers how a job of `enqueueKeys` stands; a finished one is kept for 30 days."""
    return JobData.of(*await call.platform.migrations.job(call.who, body.job_id))
