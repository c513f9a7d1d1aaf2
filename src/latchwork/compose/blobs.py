"""Blobs as the settings want them."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from latchwork.adapters.blobs import BucketBlobs, Credentials, DirectoryBlobs
from latchwork.compose.data_dir import DataDir
from latchwork.kernel.blobs import Blobs
from latchwork.settings import S3Settings, Settings


def blobs_of(settings: Settings) -> Blobs:
    """Blobs in the bucket or the directory of `blobs_url`, else in the data directory."""
    if settings.blobs_url is None:
        return DirectoryBlobs(DataDir(settings.data_dir).blobs)
    place = urlsplit(settings.blobs_url)
    if place.scheme == "file":
        return DirectoryBlobs(Path(unquote(place.path)))
    s3 = settings.s3
    return BucketBlobs(
        place.netloc,
        place.path.strip("/"),
        endpoint=s3.endpoint,
        region=s3.region,
        credentials=_credentials(s3),
    )


def _credentials(s3: S3Settings) -> Credentials | None:
    if s3.access_key_id is None or s3.secret_access_key is None:
        return None
    return Credentials(s3.access_key_id, s3.secret_access_key.reveal())
