"""Bounces that a mail service tells of in JSON by mail: Amazon SES through SNS."""

import json
from typing import Any

from analytics.reports.failures import failure_of
from analytics.reports.letter import Letter
from analytics.reports.report import Action, BounceReport, Returned
from analytics.reports.status import Entry

_MAX_BYTES, _MAX_RECIPIENTS = 262_144, 200
_DECODER = json.JSONDecoder(strict=False)  # bare line ends inside strings are common after a fold


def read_notification(letter: Letter) -> BounceReport | None:
    """Return the bounce that a notification tells of; None for other mail, and for other notifications."""
    text = next((part.text(_MAX_BYTES).lstrip() for part in letter.of_type("text/plain", "application/json")[:1]), "")
    if not text.startswith("{") or "bouncedRecipients" not in text:
        return None
    told = _told(text.replace("!\n ", "").replace("\n ", ""))
    bounce, mail = _object(told, "bounce"), _object(told, "mail")
    is_transient = bounce.get("bounceType") == "Transient"
    rows = bounce.get("bouncedRecipients")
    failures = tuple(
        failure_of(_entry(row, is_transient))
        for row in (rows if isinstance(rows, list) else [])[:_MAX_RECIPIENTS]
        if isinstance(row, dict) and isinstance(row.get("emailAddress"), str)
    )
    return BounceReport(failures, _returned(mail), "notification") if failures else None


def _told(text: str) -> dict[str, Any]:
    """What the notification says; SNS may have wrapped it, as a string, into an envelope of its own."""
    told = _parsed(text)
    inner = told.get("Message")
    return _parsed(inner) if isinstance(inner, str) else told


def _parsed(text: str) -> dict[str, Any]:
    try:
        found, _ = _DECODER.raw_decode(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _entry(row: dict[str, Any], is_transient: bool) -> Entry:
    status, diagnostic = (str(row.get(name) or "")[:2_000] for name in ("status", "diagnosticCode"))
    return Entry(
        final=row["emailAddress"].strip("<> ")[:320],
        action=Action.DELAYED if is_transient and row.get("action") != "failed" else Action.FAILED,
        status=status,
        diagnostic=diagnostic.partition(";")[2].strip() or diagnostic,
    )


def _returned(mail: dict[str, Any]) -> Returned:
    rows = mail.get("headers")
    pairs = tuple(
        (str(row.get("name")).lower(), str(row.get("value"))[:1_000])
        for row in (rows if isinstance(rows, list) else [])[:200]
        if isinstance(row, dict)
    )
    named = _object(mail, "commonHeaders").get("messageId") or dict(pairs).get("message-id", "")
    return Returned(str(named).strip("<> "), pairs)
