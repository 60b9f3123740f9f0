"""A Slack-compatible message. Whether it arrives is never worth a failed workflow."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from leicos_jobs.core import logs

TIMEOUT_SECONDS = 10.0


def send(url: str, text: str) -> bool:
    """POST {"text": text}; returns whether it arrived. The URL is a secret: it is never logged."""
    request = urllib.request.Request(
        url, data=json.dumps({"text": text}).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except (urllib.error.URLError, OSError, ValueError) as error:
        logs.event("webhook.failed", error=type(error).__name__)
        return False
