"""The port `Blobs`: in a directory, and in a bucket that speaks S3."""

from latchwork.adapters.blobs.bucket import BucketBlobs, Credentials
from latchwork.adapters.blobs.directory import DirectoryBlobs

__all__ = ["BucketBlobs", "Credentials", "DirectoryBlobs"]
