"""TLS reports (RFC 8460): who could reach a domain over TLS, and why not, from JSON.

Decoded by msgspec into these types only: members that are not named here cost nothing, whatever they hold.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from analytics.reports.unpacking import Document, Unreadable

MAX_BYTES = 8 * 1024 * 1024  # thirty thousand failures; real reports have a few hundred bytes of each
_MAX_TEXT = 500

Sessions = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Member(msgspec.Struct, frozen=True, rename="kebab"):
    pass


class _Policy(_Member, frozen=True):
    policy_type: str = ""
    policy_domain: str = ""
    policy_string: list[str] | str | None = None
    mx_host: list[str] | str | None = None


class _Summary(_Member, frozen=True):
    total_successful_session_count: Sessions
    total_failure_session_count: Sessions


class _Failure(_Member, frozen=True):
    result_type: str
    failed_session_count: Sessions
    sending_mta_ip: str | None = None
    receiving_mx_hostname: str | None = None
    receiving_mx_helo: str | None = None
    receiving_ip: str | None = None
    additional_information: str | None = None
    failure_reason_code: str | None = None


class _Result(_Member, frozen=True):
    policy: _Policy
    summary: _Summary
    failure_details: list[_Failure] | None = None


class _DateRange(_Member, frozen=True):
    start_datetime: str
    end_datetime: str


class _Report(_Member, frozen=True):
    report_id: str
    date_range: _DateRange
    policies: list[_Result]
    organization_name: str | None = None
    contact_info: str | None = None


class TlsFailure(msgspec.Struct, frozen=True):
    """Sessions that failed alike (RFC 8460 4.3)."""

    result: str
    sessions: int
    sending_ip: str = ""
    mx: str = ""
    receiving_ip: str = ""
    reason: str = ""


class TlsPolicy(msgspec.Struct, frozen=True):
    """What came of one policy: type sts, tlsa or no-policy-found; sessions that went well and that failed."""

    type: str
    domain: str
    success: int
    failure: int
    failures: tuple[TlsFailure, ...] = ()


class TlsReport(msgspec.Struct, frozen=True):
    """One report; `org` "" where it names none."""

    org: str
    contact: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    policies: tuple[TlsPolicy, ...]
    kind: ClassVar[str] = "tls-rpt"

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "report_id": self.report_id,
            "domain": self.policies[0].domain,
            "begin": int(self.begin_at.timestamp()),
            "end": int(self.end_at.timestamp()),
            "success": sum(policy.success for policy in self.policies),
            "failure": sum(policy.failure for policy in self.policies),
            "policies": len(self.policies),
        }


def read_tls(document: Document) -> TlsReport:
    """Read one report. Raises Unreadable with the reason."""
    content = bytearray()
    for piece in document.pieces():
        content += piece
        if len(content) > MAX_BYTES:
            raise Unreadable(f"a TLS report of more than {MAX_BYTES >> 20} MiB")
    try:
        report = msgspec.json.decode(_utf8(bytes(content)), type=_Report, strict=False)
    except msgspec.ValidationError as error:
        raise Unreadable(f"it is no TLS report: {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    return _checked(report)


def _utf8(content: bytes) -> bytes:
    encoding = json.detect_encoding(content)
    return content if encoding == "utf-8" else content.decode(encoding).encode()


def _checked(report: _Report) -> TlsReport:
    if not report.report_id.strip():
        raise Unreadable("it has no report-id")
    if not report.policies:
        raise Unreadable("it has no policy")
    begin, end = (_instant(text) for text in (report.date_range.start_datetime, report.date_range.end_datetime))
    if end < begin:
        raise Unreadable(f"it ends ({end:%FT%TZ}) before it begins ({begin:%FT%TZ})")
    return TlsReport(
        _short(report.organization_name),
        _short(report.contact_info),
        _short(report.report_id),
        begin,
        end,
        tuple(_policy(result) for result in report.policies),
    )


def _policy(result: _Result) -> TlsPolicy:
    return TlsPolicy(
        _short(result.policy.policy_type).lower(),
        _short(result.policy.policy_domain).lower(),
        result.summary.total_successful_session_count,
        result.summary.total_failure_session_count,
        tuple(_failure(failure) for failure in result.failure_details or ()),
    )


def _failure(failure: _Failure) -> TlsFailure:
    return TlsFailure(
        _short(failure.result_type).lower(),
        failure.failed_session_count,
        _short(failure.sending_mta_ip),
        _short(failure.receiving_mx_hostname).lower(),
        _short(failure.receiving_ip),
        _short(failure.failure_reason_code or failure.additional_information),
    )


def _short(text: str | None) -> str:
    return " ".join((text or "")[:_MAX_TEXT].split())


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Unreadable(f"date-range says {text[:40]!r}, not an instant like 2026-11-24T00:00:00Z") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
