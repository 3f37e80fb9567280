"""Objects in S3: obstore's synchronous calls where objects move, boto3 for buckets, listings and abandoned uploads.

obstore's asynchronous calls are left alone: processes that used them aborted at their exit now and then; the synchronous ones, in
threads, never did. How keys are spelt there is `object_names`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import obstore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from obstore import exceptions as refusals
from obstore.store import S3Store

from runtime.errors import OutageError, RetryError, StopError
from runtime.object_names import read_back, spelt, spelt_prefix
from runtime.ports import ObjectExistsError, ObjectInfo, ObjectMissingError
from runtime.settings import S3Settings

if TYPE_CHECKING:
    from obstore import GetOptions, WritableFile  # obstore has these names at type checking only.
    from obstore.store import ClientConfig, RetryConfig

CONNECT_TIMEOUT_S = 5
"""Seconds for a connection to be made: a service in the same network answers within milliseconds or is not there."""
REQUEST_TIMEOUT_S = 60
"""Seconds for one request with its body: 100 MB at the 2 MB/s of a network in trouble."""
RETRIES = 3
RETRY_TIMEOUT_S = 20
"""Retries of the client, and seconds after which it begins no other: who called retries too, and must learn of an outage soon."""
PART_BYTES = 5 * 1024 * 1024
"""Bytes of one part of a streamed object, the least S3 takes; 10,000 parts are 50 GB, over any image."""
PARTS_AT_ONCE = 2
"""Parts of one object on their way: gateways write many at a time, and each holds so many parts and one more in memory."""
ABANDONED = timedelta(days=1)
"""Age at which an unfinished upload counts as abandoned: no sender pauses for a day. It is in no listing, but it takes space."""

_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"})
_MISSING_BUCKET = frozenset({"NoSuchBucket", "404"})
_REFUSAL = re.compile(r"non-2xx status code: (?:4(?!29)\d\d|500)")
"""How obstore says that the service refused a request; its errors have no status of their own."""


class S3Objects:
    """The objects port on an S3 service.

    Parameters
    ----------
    settings
        Where the service is; its secrets are read once, here.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._access_key, self._secret_key = settings.access_key.text(), settings.secret_key.text()
        self._stores: dict[str, S3Store] = {}
        self._lock = threading.Lock()
        # One client per process: it may be used from several threads, and every other one leaks a session.
        self._control: Any = boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name=settings.region,
            config=_control_config(),
        )

    def create_buckets(self, names: Sequence[str]) -> None:
        """Create the buckets that do not exist yet, and remove uploads that somebody began a day ago and never finished.

        Raises
        ------
        StopError
            The service refuses the name or the credentials, or the bucket is somebody else's.
        OutageError
            The service does not answer.
        """
        for name in names:
            bucket = self._bucket(name)
            if not self._is_there(bucket):
                self._create(bucket)
            self._sweep(bucket, datetime.now(UTC) - ABANDONED)

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        """Store an object whole, in one request.

        Raises
        ------
        ObjectExistsError
            `if_absent`, and there is one; the service decides (`If-None-Match: *`).
        StopError
            There is no such bucket, or the credentials do not open it.
        RetryError
            The service did not do it, or did not say so.
        """
        name = spelt(key)
        try:
            with _decided():
                obstore.put(
                    self._store(bucket),
                    name,
                    data,
                    mode="create" if if_absent else "overwrite",
                    use_multipart=False,
                )
        except ObjectMissingError as error:  # To a put nothing but its bucket can be missing.
            raise StopError(f"missing bucket: {bucket}") from error
        return ObjectInfo(bucket, key, len(data))

    def open_write(self, bucket: str, key: str) -> MultipartWriter:
        """Begin an object of unknown length."""
        file = obstore.open_writer(
            self._store(bucket), spelt(key), buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
        )
        return MultipartWriter(file, bucket, key)

    def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read an object or a part of it; what lies behind its end is left out.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        """
        if start < 0 or (length is not None and length < 0):
            raise ValueError("a range has no negative start or length")
        name = spelt(key)
        try:
            return self._read(bucket, name, start, length)
        except RetryError:
            # S3 answers 416 to a range that begins behind the end, and obstore has no class for it.
            if start == 0 or start < self._size(bucket, name):
                raise
            return b""

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Look at an object without reading it."""
        try:
            return ObjectInfo(bucket, key, self._size(bucket, spelt(key)))
        except ObjectMissingError:
            return None

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; no error where there is none."""
        name = spelt(key)
        try:
            with _decided():
                obstore.delete(self._store(bucket), name)
        except ObjectMissingError:
            return

    def keys(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object under a prefix, in the order of the keys' UTF-8 bytes. Holds all keys in memory.

        The service's own order is that of the spelt keys, which differs.
        """
        found = []
        with _decided():
            for each in self._pages(
                "list_objects_v2", self._bucket(bucket), "Contents", Prefix=spelt_prefix(prefix)
            ):
                key = read_back(each["Key"])
                if key.startswith(prefix):
                    found.append(ObjectInfo(bucket, key, each["Size"]))
        yield from sorted(found, key=lambda info: info.key.encode())

    def close(self) -> None:
        """Give the connections back."""
        self._control.close()

    def _bucket(self, name: str) -> str:
        if not name:
            raise ValueError("a bucket has a name")
        return self._settings.bucket_prefix + name

    def _store(self, bucket: str) -> S3Store:
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = S3Store(
                    self._bucket(bucket),
                    endpoint=self._settings.endpoint,
                    region=self._settings.region,
                    access_key_id=self._access_key,
                    secret_access_key=self._secret_key,
                    virtual_hosted_style_request=False,
                    client_options=_client_options(self._settings.endpoint),
                    retry_config=_retry_config(),
                )
            return self._stores[bucket]

    def _read(self, bucket: str, name: str, start: int, length: int | None) -> bytes:
        if length == 0:  # S3 has no empty range.
            self._size(bucket, name)
            return b""
        with _decided():
            if length is not None:
                return obstore.get_range(self._store(bucket), name, start=start, length=length).to_bytes()
            wanted: GetOptions = {"range": {"offset": start}} if start else {}
            return obstore.get(self._store(bucket), name, options=wanted).bytes().to_bytes()

    def _size(self, bucket: str, name: str) -> int:
        with _decided():
            return obstore.head(self._store(bucket), name)["size"]

    def _is_there(self, bucket: str) -> bool:
        try:
            with _decided():
                self._control.head_bucket(Bucket=bucket)
        except ObjectMissingError:
            return False
        return True

    def _create(self, bucket: str) -> None:
        region = self._settings.region
        # The one region that refuses to be named.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            with _decided():
                self._control.create_bucket(Bucket=bucket, **place)
        except ObjectExistsError as error:  # Another process was quicker, or another owner.
            if not self._is_there(bucket):
                raise StopError(f"the bucket {bucket} is somebody else's") from error

    def _sweep(self, bucket: str, before: datetime) -> None:
        """Abort uploads that were begun before a time: their writers died."""
        with _decided():
            for each in self._pages("list_multipart_uploads", bucket, "Uploads"):
                if each["Initiated"] < before:
                    self._control.abort_multipart_upload(
                        Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"]
                    )

    def _pages(self, operation: str, bucket: str, field: str, **wanted: str) -> Iterator[dict[str, Any]]:
        try:
            for page in self._control.get_paginator(operation).paginate(Bucket=bucket, **wanted):
                yield from page.get(field, [])
        except ClientError as error:
            if _code(error) in _MISSING_BUCKET:
                raise StopError(f"missing bucket: {bucket}") from error
            raise


class MultipartWriter:
    """An object being written; `S3Objects.open_write` makes it.

    Nothing is sent before `PART_BYTES` are there: a smaller object is one request at `commit`.
    """

    def __init__(self, file: WritableFile, bucket: str, key: str) -> None:
        self._file = file
        self._bucket, self._key = bucket, key
        self._size = 0
        self._open = True

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with self._decided():
            self._file.write(data)
        self._size += len(data) if isinstance(data, bytes) else data.nbytes

    def commit(self) -> ObjectInfo:
        """Make the object visible and durable, in place of an earlier one of its key."""
        with self._decided():
            self._file.close()
        self._open = False
        return ObjectInfo(self._bucket, self._key, self._size)

    def abort(self) -> None:
        """Forget what was written; harmless after `commit`. What a dead service keeps is swept a day later."""
        if not self._open:
            return
        self._open = False
        try:
            # Leaving by an error is how obstore is told to abort; an object that is merely dropped keeps its upload.
            self._file.__exit__(StopError, StopError("aborted"), None)
        except (refusals.BaseError, OSError):
            return

    @contextmanager
    def _decided(self) -> Iterator[None]:
        try:
            with _decided():
                yield
        except ObjectMissingError as error:
            raise StopError(f"missing bucket: {self._bucket}") from error


@contextmanager
def _decided() -> Iterator[None]:
    """Turn the clients' errors into decisions. Their texts hold keys and answers of the service and are not passed on."""
    try:
        yield
    except FileNotFoundError as error:
        if "<Code>NoSuchBucket</Code>" in str(error):
            raise StopError("the object's bucket is missing") from error
        raise ObjectMissingError from error
    except (refusals.AlreadyExistsError, refusals.PreconditionError) as error:
        raise ObjectExistsError from error
    except (refusals.PermissionDeniedError, refusals.UnauthenticatedError) as error:
        raise StopError("the object store refuses the credentials") from error
    except (refusals.BaseError, OSError) as error:
        raise _unanswered(_says_no(str(error)), type(error).__name__) from error
    except ParamValidationError as error:
        raise StopError("a bucket's name is none for S3") from error
    except ClientError as error:
        raise _refused(error) from error
    except BotoCoreError as error:
        raise _unanswered(False, type(error).__name__) from error


def _refused(error: ClientError) -> Exception:
    """What a control call's answer means."""
    code = _code(error)
    if code in _MISSING_BUCKET:
        return ObjectMissingError()
    if code in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou", "OperationAborted"}:
        return ObjectExistsError()
    if code in _DENIED:
        return StopError("the object store refuses the credentials")
    if code in {"InvalidBucketName", "400"}:
        return StopError("the object store refuses a bucket's name")
    return _unanswered(error.response["ResponseMetadata"]["HTTPStatusCode"] <= 500, code)


def _unanswered(answered: bool, kind: str) -> RetryError:
    """One request's failure where the service answers, everybody's where it does not."""
    return RetryError(f"the object store refused ({kind})") if answered else OutageError(
        f"the object store does not answer ({kind})"
    )  # fmt: skip


def _says_no(text: str) -> bool:
    """Whether the service is there and refused this request. A service that cannot keep up (429, 503) refuses every one."""
    return _REFUSAL.search(text) is not None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _client_options(endpoint: str) -> ClientConfig:
    return {
        "allow_http": endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
    }


def _retry_config() -> RetryConfig:
    return {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S)}


def _control_config() -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=REQUEST_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": RETRIES + 1},
        # Some services take boto3's newer checksum trailers for part of the object; what is stored here is verified end to end.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
