"""Blobs in a bucket that speaks S3."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

from latchwork.adapters.blobs.deadline import DEADLINE_S, within
from latchwork.kernel.blobs import BlobsUnavailable, checked_key

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential, S3CredentialProvider, S3Store

_RETRIES = 2  # of what a store refuses when it is busy; all within the deadline
_REASON_LENGTH = 200
_REASONS = (re.compile(r"<Message>([^<]+)</Message>"), re.compile(r'(?:message|error): "([^"]+)"'))
"""Where the client's errors, which are pages long, say what was wrong: in the store's words, else the system's."""


class Credentials(NamedTuple):
    """A key of one's own; without it the client takes those of the environment or of the instance."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id})"


class BucketBlobs:
    """The port `Blobs` on a bucket, below a prefix. `endpoint` is where the store is, unless that is AWS.

    What is there is not replaced: the store is asked to keep only what it has not (`If-None-Match`).
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: Credentials | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._endpoint = endpoint
        self._region = region
        self._credentials = credentials
        self._deadline_s = deadline_s
        self._opening = asyncio.Lock()
        self._store: S3Store | None = None

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    async def put(self, key: str, content: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        async with self._asking() as store:
            try:
                await store.put_async(checked_key(key), content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    async def find(self, key: str) -> bytes | None:
        async with self._asking() as store:
            try:
                found = await store.get_async(checked_key(key))
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None
            return bytes(await found.bytes_async())

    async def list(self, folder: str) -> Sequence[str]:
        async with self._asking() as store:
            found = await store.list(checked_key(folder)).collect_async()
        return sorted(each["path"] for each in found)

    async def folders(self, folder: str) -> Sequence[str]:
        async with self._asking() as store:
            found = await store.list_with_delimiter_async(checked_key(folder))
        return sorted(each.rpartition("/")[2] for each in found["common_prefixes"])

    async def delete(self, keys: Sequence[str]) -> None:
        async with self._asking() as store:
            await store.delete_async([checked_key(key) for key in keys])

    @asynccontextmanager
    async def _asking(self) -> "AsyncIterator[S3Store]":
        from obstore.exceptions import BaseError

        try:
            async with within(self._deadline_s, str(self)):
                yield await self._opened()
        except (BaseError, OSError) as error:
            raise BlobsUnavailable(f"{self} cannot be used: {_reason(error)}.") from error

    async def _opened(self) -> "S3Store":
        async with self._opening:
            if self._store is None:
                # loads the client and the certificates of the system: not on the event loop
                self._store = await asyncio.to_thread(self._open)
        return self._store

    def _open(self) -> "S3Store":
        from obstore.store import S3Store

        chosen: S3Config = {
            "conditional_put": "etag",
            "disable_bulk_delete": True,  # which not every store knows
        }
        if self._endpoint is not None:  # under both names, so that neither variable of the environment wins
            chosen |= {"endpoint": self._endpoint, "aws_endpoint_url_s3": self._endpoint}
        if self._region is not None:
            chosen["region"] = self._region
        patience = timedelta(seconds=2 * self._deadline_s)  # what nobody waits for any more ends too
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            config=chosen,
            client_options={
                "allow_http": self._endpoint is not None and self._endpoint.startswith("http://"),
                "timeout": patience,
                "connect_timeout": patience,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": patience},
            credential_provider=None if self._credentials is None else _provider(self._credentials),
        )


def _provider(own: Credentials) -> "S3CredentialProvider":
    """Nothing of the environment is mixed with a key of one's own, such as the token of a session."""

    def provide() -> "S3Credential":
        return {
            "access_key_id": own.access_key_id,
            "secret_access_key": own.secret_access_key,
            "token": None,
            "expires_at": None,
        }

    return provide


def _reason(error: Exception) -> str:
    text = str(error)
    said = next((found[-1] for found in (each.findall(text) for each in _REASONS) if found), None)
    reason = shorten(said or text.partition("\n")[0], _REASON_LENGTH, placeholder=" …").rstrip(".")
    return reason[:1].lower() + reason[1:]
