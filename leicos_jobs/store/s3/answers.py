"""What an S3 server's refusal means: whether trying again can help, and the setting that mends it.

One table. Codes are Amazon's (API reference, Error responses) and what compatible servers answer; a number is the HTTP
status of an answer without a body, as HEAD has it. What the table lacks is judged by its status: 5xx and the statuses
that say "later" may pass (75), any other refusal cannot (78).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore import exceptions
from botocore.exceptions import ClientError

from leicos_jobs.core.errors import InputError, LeicosError, RetryError

_CHECKSUM = "AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
_RIGHTS = "check the S3 credentials and that they may Get, Put, Delete and List under this prefix"
_REGION = "set AWS_REGION to the bucket's region (store.region of the chart)"
_STYLE = "set LEICOS_S3_ADDRESSING=virtual (store.addressing of the chart)"
_TOKEN = "renew the credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN belong together"
_HEADERS = f"set {_CHECKSUM} (store.checksums of the chart), and unset LEICOS_S3_SSE if the server cannot encrypt"
_KMS = "check LEICOS_S3_SSE_KMS_KEY_ID (store.encryption of the chart) and the rights on that key"
_AGAIN = "start again; committed work is kept"


@dataclass(frozen=True)
class Answer:
    """The row of one or more codes."""

    codes: tuple[str, ...]
    text: str
    fix: str
    kind: type[LeicosError] = InputError


TABLE = (
    Answer(
        ("NoSuchBucket",),
        "bucket {bucket!r} does not exist",
        "create it, or correct the URI, the endpoint or the region",
    ),
    Answer(
        ("NoSuchKey", "NotFound", "404"),
        "the server answers a write or a listing with 404: it has no such bucket, or is not an S3 server",
        "check the URI's bucket and AWS_ENDPOINT_URL_S3 (store.endpoint of the chart)",
    ),
    Answer(
        ("AccessDenied", "AllAccessDisabled", "Forbidden", "403"),
        "access denied",
        _RIGHTS,
    ),
    Answer(
        ("InvalidAccessKeyId", "NotSignedUp", "UserDisable", "AccountProblem"),
        "the server does not know the access key",
        "check AWS_ACCESS_KEY_ID, and that the endpoint is the server that gave it",
    ),
    Answer(
        ("SignatureDoesNotMatch",),
        "access denied: the signature does not match",
        "check AWS_SECRET_ACCESS_KEY and AWS_REGION; a server that does not know checksum headers answers the same: "
        f"set {_CHECKSUM} (store.checksums of the chart)",
    ),
    Answer(
        ("Unauthorized", "401"),
        "access denied: the server accepts no such request from these credentials",
        f"check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the endpoint; R2 answers the same to checksum headers: "
        f"set {_CHECKSUM}",
    ),
    Answer(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"),
        "access denied: the session token has expired",
        _TOKEN,
    ),
    Answer(("InvalidToken", "InvalidClientTokenId"), "access denied: no valid session token", _TOKEN),
    Answer(
        ("RequestTimeTooSkewed",),
        "this machine's clock differs too much from the server's",
        "set the clock (NTP)",
    ),
    Answer(
        ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "AuthorizationQueryParametersError"),
        "the request is signed for another region",
        _REGION,
    ),
    Answer(
        ("PermanentRedirect", "301"),
        "the bucket is at another endpoint or in another region",
        "set AWS_REGION and AWS_ENDPOINT_URL_S3 to the bucket's own (store.region, store.endpoint of the chart)",
    ),
    Answer(
        ("XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidChunkSizeError"),
        "the server does not understand boto3's checksum of the body",
        f"set {_CHECKSUM} (store.checksums of the chart)",
    ),
    Answer(
        ("NotImplemented", "MethodNotAllowed", "501", "405"),
        "the server does not know a header or a method of the request",
        _HEADERS,
    ),
    Answer(
        ("SecondLevelDomainForbidden", "PathStyleDomainForbidden", "PathStyleNotAllowed"),
        "the server takes the bucket in the host's name only",
        _STYLE,
    ),
    Answer(
        ("InvalidBucketName", "InvalidBucket"),
        "the server cannot read {bucket!r} as a bucket",
        "correct the URI, or set LEICOS_S3_ADDRESSING to path or virtual (store.addressing of the chart)",
    ),
    Answer(
        ("KeyTooLongError", "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName", "XMinioInvalidResourceName"),
        "the server refuses the name",
        "use letters, digits, '-', '_' and '.' in the URI",
    ),
    Answer(
        (
            "InvalidEncryptionAlgorithmError",
            "KMS.DisabledException",
            "KMS.KMSInvalidStateException",
            "KMS.NotFoundException",
            "KMSKeyNotFound",
            "KMSNotConfigured",
        ),
        "the server cannot encrypt as asked",
        _KMS,
    ),
    Answer(
        ("InvalidObjectState",),
        "the object is archived",
        "restore it from its storage class, or keep runs out of archive rules",
    ),
    Answer(
        ("EntityTooLarge",),
        "the server takes no object of this size",
        "raise the server's limit (a proxy before it may have one)",
    ),
    Answer(
        ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"),
        "no space left",
        "free some space or raise the quota, and start again; committed work is kept",
        RetryError,
    ),
    Answer(
        ("NoSuchUpload",),
        "the upload was ended by another",
        _AGAIN,
        RetryError,
    ),
    Answer(
        (
            "RequestTimeout",
            "IncompleteBody",
            "BadDigest",
            "OperationAborted",
            "ConditionalRequestConflict",
            "PreconditionFailed",
            "SlowDown",
            "SlowDownRead",
            "SlowDownWrite",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "TooManyRequests",
            "ServiceUnavailable",
            "InternalError",
            "XMinioServerNotInitialized",
            "TemporaryRedirect",
        ),
        "the server cannot answer now",
        _AGAIN,
        RetryError,
    ),
)

_ROWS: Mapping[str, Answer] = {code: row for row in TABLE for code in row.codes}
_LATER = frozenset({307, 408, 409, 412, 423, 425, 429})
_MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.NoAuthTokenError,
    exceptions.SSOTokenLoadError,
    exceptions.UnauthorizedSSOTokenError,
)


def code_of(error: ClientError) -> tuple[str, int]:
    """The server's code and the HTTP status of a refusal."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return str(error.response.get("Error", {}).get("Code", "")), status


def is_missing(error: ClientError) -> bool:
    """Whether the answer says that there is no such object."""
    code, status = code_of(error)
    return code in _MISSING or (status == 404 and code not in _ROWS)


def is_conflict(error: ClientError) -> bool:
    """Whether a conditional write met an object, or another write that is under way."""
    code, status = code_of(error)
    return code == "PreconditionFailed" or status in (409, 412)


def is_unsupported(error: ClientError) -> bool:
    """Whether the server does not know a header of the request (a condition, a checksum)."""
    code, status = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", "")).lower()
    return code == "NotImplemented" or status == 501 or (status == 400 and "not implemented" in said)


def has_no_body(error: ClientError) -> bool:
    """Whether an answer (to HEAD) tells its status alone: the reason stands in a body only."""
    code, status = code_of(error)
    return code == str(status) and status != 404


def explain(where: str, bucket: str, error: ClientError) -> LeicosError:
    """The error of a refusal. where: the object's URI."""
    code, status = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", ""))
    detail = ": ".join(part for part in (code or str(status), said) if part and part != "Unknown")
    row = _ROWS.get(code) or _ROWS.get(str(status))
    if row is None and code.startswith("KMS."):
        row = _ROWS["KMSKeyNotFound"]
    if row is not None and not (row.kind is InputError and status >= 500 and status != 501):
        return row.kind(f"{where}: {row.text.format(bucket=bucket)} ({detail})", fix=row.fix)
    if status >= 500 or status in _LATER or status < 400:
        return RetryError(f"{where}: {detail}", fix=_AGAIN)
    return InputError(f"{where}: the server refuses the request ({detail})", fix=f"{_RIGHTS}; {_HEADERS}")


def explain_client(where: str, error: Any) -> LeicosError:
    """The error of what went wrong on this side: credentials, certificates, a lost connection."""
    if isinstance(error, _CREDENTIALS):
        return InputError(
            f"{where}: no S3 credentials ({error})",
            fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a workload identity",
        )
    if isinstance(error, (exceptions.NoRegionError, exceptions.ProfileNotFound)):
        return InputError(f"{where}: {error}", fix="set AWS_REGION, and AWS_PROFILE to a profile that exists")
    if isinstance(error, exceptions.ParamValidationError):
        return InputError(f"{where}: {error}", fix="correct the URI: s3://bucket/folder/name")
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        fix = "set AWS_CA_BUNDLE to the file of its authority (store.caBundle of the chart)"
        return InputError(f"{where}: the server's certificate is not trusted ({error})", fix=fix)
    if isinstance(error, exceptions.CredentialRetrievalError):
        return RetryError(f"{where}: {error}", fix="check the workload identity; start again")
    if isinstance(error, exceptions.BotoCoreError):
        return RetryError(f"{where}: {error}", fix="check the endpoint; start again")
    return RetryError(f"{where}: {type(error).__name__}: {error}", fix=_AGAIN)
