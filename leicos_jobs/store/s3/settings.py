"""How to speak to the S3 server: from the environment, with defaults that every known server understands.

Credentials, endpoint, region, session token and certificates are boto3's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 or
AWS_ENDPOINT_URL, AWS_SESSION_TOKEN, AWS_CA_BUNDLE ...), with AWS_REGION beside AWS_DEFAULT_REGION as in other SDKs.
Three things differ from boto3:

- checksums: boto3 >= 1.36 adds `x-amz-checksum-*` to each upload, which Cloud Storage, R2, OSS and older Ceph refuse.
  Here they are sent only where an operation demands them, unless AWS_REQUEST_CHECKSUM_CALCULATION or
  AWS_RESPONSE_CHECKSUM_VALIDATION (or the profile) says when_supported. leicos compares sha256 digests itself.
- addressing: LEICOS_S3_ADDRESSING or the profile's s3.addressing_style; else boto3's `auto` on Amazon, `virtual` on
  hosts that refuse anything else, `path` on any other endpoint (no wildcard DNS is needed for it).
- encryption: LEICOS_S3_SSE and LEICOS_S3_SSE_KMS_KEY_ID go into each write.

The CRT transfer client is not used: it ignores endpoint_url (boto3 issue 4839).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import BotoCoreError, ClientError

from leicos_jobs.core.errors import InputError

ADDRESSING = "LEICOS_S3_ADDRESSING"
SSE = "LEICOS_S3_SSE"
SSE_KEY = "LEICOS_S3_SSE_KMS_KEY_ID"
REQUEST_CHECKSUM = "AWS_REQUEST_CHECKSUM_CALCULATION"
RESPONSE_CHECKSUM = "AWS_RESPONSE_CHECKSUM_VALIDATION"
CA_BUNDLE = "AWS_CA_BUNDLE"

_CHECKSUMS = ("when_required", "when_supported")
_STYLES = ("auto", "path", "virtual")
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_VIRTUAL_ONLY = ("aliyuncs.com",)
"""OSS answers SecondLevelDomainForbidden to path style."""


@dataclass(frozen=True)
class Settings:
    """What a client is made with."""

    endpoint: str | None
    region: str | None
    request_checksum: str
    response_checksum: str
    addressing: str
    encryption: dict[str, str]
    """ServerSideEncryption and SSEKMSKeyId, for every call that makes an object."""

    @property
    def enforces_conditions(self) -> bool:
        """Whether `If-None-Match` on writes is known to count; others are tried first."""
        return self.endpoint is None or _is_under(self.endpoint, "amazonaws.com")


def read_settings(session: botocore.session.Session, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment and the profile. Raises InputError that names the variable."""
    given = os.environ if environment is None else environment
    profile = session.get_scoped_config()
    endpoint = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=profile, client_name="s3", environ=dict(given)
    ).provide()
    if (bundle := given.get(CA_BUNDLE)) and not Path(bundle).exists():
        raise InputError(f"{CA_BUNDLE}: {bundle} does not exist", fix="name a file of certificates in PEM")
    checksums = [
        _choice(name, given.get(name) or profile.get(name.lower().removeprefix("aws_")) or _CHECKSUMS[0], _CHECKSUMS)
        for name in (REQUEST_CHECKSUM, RESPONSE_CHECKSUM)
    ]
    in_profile = profile.get("s3")
    style = given.get(ADDRESSING) or (in_profile.get("addressing_style") if isinstance(in_profile, dict) else None)
    return Settings(
        endpoint=endpoint,
        region=given.get("AWS_REGION") or None,
        request_checksum=checksums[0],
        response_checksum=checksums[1],
        addressing=_choice(ADDRESSING, style or _default_style(endpoint), _STYLES),
        encryption=_encryption(given),
    )


def make_client(session: botocore.session.Session, settings: Settings) -> Any:
    """A boto3 client."""
    spoken: Any = {
        "s3": {"addressing_style": settings.addressing},
        "request_checksum_calculation": settings.request_checksum,
        "response_checksum_validation": settings.response_checksum,
    }
    config = Config(
        retries={"max_attempts": 8, "mode": "standard"}, connect_timeout=10, max_pool_connections=32, **spoken
    )
    client: Any = boto3.session.Session(botocore_session=session, region_name=settings.region).client(
        "s3", config=config
    )
    client.meta.events.register_first("needs-retry.s3", _end_redirect)
    return client


def connect() -> tuple[botocore.session.Session, Any, Settings]:
    """The environment's session, a client for its server, and the settings. Raises InputError."""
    session = botocore.session.Session()
    try:
        settings = read_settings(session)
        return session, make_client(session, settings), settings
    except (BotoCoreError, ValueError, OSError) as error:
        fix = "correct the AWS_* variables or the profile (docs/storage.md)"
        raise InputError(f"the S3 settings cannot be used: {error}", fix=fix) from error


def _end_redirect(response: Any, operation: Any, **_more: Any) -> None:
    """A redirect that names no region is an error: botocore would ask for the bucket's region, be redirected, and so
    on until Python's stack ends."""
    if response is None or response[0].status_code != 301:
        return
    if "x-amz-bucket-region" not in response[0].headers:
        raise ClientError(response[1], operation.name)


def _default_style(endpoint: str | None) -> str:
    if endpoint is None or _is_under(endpoint, "amazonaws.com"):
        return "auto"
    return "virtual" if any(_is_under(endpoint, domain) for domain in _VIRTUAL_ONLY) else "path"


def _is_under(endpoint: str, domain: str) -> bool:
    return f".{urlsplit(endpoint).hostname or ''}".endswith(f".{domain}")


def _choice(name: str, value: object, known: tuple[str, ...]) -> str:
    if str(value).lower() not in known:
        raise InputError(f"{name}: {value!r} is not known", fix=f"write one of {', '.join(known)}")
    return str(value).lower()


def _encryption(given: Mapping[str, str]) -> dict[str, str]:
    """Amazon's names: AES256 is S3's own key, aws:kms a key of KMS (the bucket's default one if none is named)."""
    kind, key = given.get(SSE, ""), given.get(SSE_KEY, "")
    if key and not kind:
        kind = "aws:kms"
    if not kind:
        return {}
    if kind not in _ENCRYPTIONS:
        raise InputError(f"{SSE}: {kind!r} is not known", fix=f"write one of {', '.join(_ENCRYPTIONS)}")
    if key and kind == "AES256":
        raise InputError(f"{SSE_KEY}: AES256 takes no key of KMS", fix=f"write {SSE}=aws:kms, or leave the key out")
    return {"ServerSideEncryption": kind} | ({"SSEKMSKeyId": key} if key else {})
