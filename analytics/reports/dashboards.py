"""Figures of the providers' own dashboards, from files: Google Postmaster Tools v2 and Yahoo's Sender Hub.

Both end in the same rows: a domain, a day, a metric. Google's first version, with reputations, ended in 2025.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from analytics.reports.unpacking import Unreadable

MAX_BYTES = 16 * 1024 * 1024
_MAX_TEXT = 255
_MAX_FIGURES = 100_000
_DOMAIN = re.compile(r"domains/([A-Za-z0-9_.-]{1,253})(?:/|$)")
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,12})?(?:[eE]-?\d{1,2})?", re.ASCII)
_YAHOO = {
    "date": "date day reportdate",
    "domain": "domain dkimdomain sendingdomain senderdomain",
    "DELIVERED": "delivered deliveredvolume inboxdelivered delivers volume deliveryvolume inboxdeliveredvolume",
    "COMPLAINT_RATE": "complaintrate spamcomplaintrate spamrate",
    "COMPLAINTS": "complaints complaintcount spamcomplaints",
}
_YAHOO_NAMES = {alias: name for name, aliases in _YAHOO.items() for alias in aliases.split()}


class Figure(msgspec.Struct, frozen=True):
    """One value of one metric; `value` None where it is a text. Rates lie in [0, 1]. `day` None: as of now."""

    domain: str
    day: date | None
    metric: str
    value: float | None = None
    text: str = ""


class _Date(msgspec.Struct, frozen=True):
    year: int
    month: int
    day: int


class _Strings(msgspec.Struct, frozen=True):
    values: list[str] = []


class _Value(msgspec.Struct, frozen=True, rename="camel"):
    """Google's union: exactly one is there; 64-bit integers come as text."""

    int_value: int | None = None
    float_value: float | None = None
    double_value: float | None = None
    string_value: str | None = None
    string_list: _Strings | None = None


class _Stat(msgspec.Struct, frozen=True):
    metric: str
    name: str = ""
    value: _Value = _Value()
    date: _Date | None = None


class _Status(msgspec.Struct, frozen=True):
    status: str = ""


class _Requirement(msgspec.Struct, frozen=True):
    requirement: str = ""
    status: _Status = _Status()


class _Compliance(msgspec.Struct, frozen=True, rename="camel"):
    domain_id: str = ""
    row_data: list[_Requirement] = []


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What `domainStats:query`, each result of `domainStats:batchQuery` and `getComplianceStatus` answer."""

    name: str = ""
    domain_stats: list[_Stat] = []
    compliance_data: _Compliance = _Compliance()
    subdomain_compliance_data: _Compliance = _Compliance()
    traffic_stats: msgspec.Raw = msgspec.Raw()
    response: "_Answer | None" = None
    results: "list[_Answer]" = []


def read_google(raw: bytes) -> list[Figure]:
    """Read answers of Google's Postmaster Tools v2. Raises Unreadable."""
    _check_size(raw)
    try:
        answer = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=_Answer, strict=False)
    except msgspec.ValidationError as error:
        raise Unreadable(f"it is no answer of Postmaster Tools v2: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    answers = [answer, *[each.response or each for each in answer.results]]
    if any(bytes(each.traffic_stats) for each in answers):
        raise Unreadable("it is of version 1 of Postmaster Tools, which ended in September 2025")
    figures = [figure for each in answers for figure in _of_google(each)]
    return _checked(figures)


def read_yahoo(raw: bytes) -> list[Figure]:
    """Read a file exported from Yahoo's Sender Hub, known by the names of its columns. Raises Unreadable."""
    _check_size(raw)
    text = raw.decode("utf-8-sig", "replace")
    rows = _json_rows(text) if text.lstrip()[:1] in "[{" else _csv_rows(text)
    figures: list[Figure] = []
    for number, row in enumerate(rows, 1):
        try:
            figures += _of_yahoo(row)
        except ValueError as error:
            raise Unreadable(f"row {number}: {error}") from None
    return _checked(figures)


def _of_google(answer: _Answer) -> Iterator[Figure]:
    for stat in answer.domain_stats:
        match = _DOMAIN.match(stat.name)
        if match is None:
            raise Unreadable(f"a statistic is of {stat.name[:60]!r}, which names no domain")
        value = stat.value
        numbers = (value.int_value, value.float_value, value.double_value)
        number = next((float(one) for one in numbers if one is not None), None)
        text = value.string_value or ", ".join((value.string_list or _Strings()).values)
        yield Figure(match[1].lower(), _day_of(stat.date), _short(stat.metric).upper(), number, _short(text))
    for data in (answer.compliance_data, answer.subdomain_compliance_data):
        match = _DOMAIN.match(answer.name)
        domain = data.domain_id or (match[1] if match else "")
        for row in data.row_data if domain else ():
            yield Figure(domain.lower(), None, f"COMPLIANCE_{_short(row.requirement).upper()}", None, row.status.status)


def _day_of(day: _Date | None) -> date | None:
    try:
        return date(day.year, day.month, day.day) if day else None
    except ValueError:
        raise Unreadable(f"{day} is no day") from None


def _json_rows(text: str) -> list[Mapping[str, str]]:
    try:
        found: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unreadable("its JSON has no list of rows")
    return [{key: "" if value is None else str(value) for key, value in row.items()} for row in found]


def _csv_rows(text: str) -> list[Mapping[str, str]]:
    try:
        return [
            {key: value for key, value in row.items() if key and isinstance(value, str)}
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except csv.Error as error:
        raise Unreadable(f"it is no CSV: {error}") from None


def _of_yahoo(row: Mapping[str, str]) -> Iterator[Figure]:
    named = {_YAHOO_NAMES.get(re.sub(r"[^a-z]", "", key.lower()), key): value.strip() for key, value in row.items()}
    if "date" not in named or not named.get("domain"):
        raise ValueError("there is no column for the date or the domain")
    day = date.fromisoformat(named["date"][:10])
    for metric, text in named.items():
        if metric in ("date", "domain") or not text:
            continue
        value = _value(text)
        name = re.sub(r"[^A-Z0-9]+", "_", metric.upper()).strip("_")[:60]
        if value is not None and value < 0:
            raise ValueError(f"{metric[:40]}: {text[:40]!r} is below 0")
        yield Figure(named["domain"].lower()[:253], day, name, value, "" if value is not None else _short(text))


def _value(text: str) -> float | None:
    """Read a number, a share where it ends in %.

    >>> _value("1,234"), _value("0.12 %"), _value("good")
    (1234.0, 0.0012, None)
    """
    plain = text.replace(",", "").strip()
    is_share = plain.endswith("%")
    plain = plain.removesuffix("%").strip()
    if not _NUMBER.fullmatch(plain):
        return None
    return round(float(plain) / 100, 12) if is_share else float(plain)


def _checked(figures: list[Figure]) -> list[Figure]:
    if not figures:
        raise Unreadable("it has no figure")
    if len(figures) > _MAX_FIGURES:
        raise Unreadable(f"it has more than {_MAX_FIGURES} figures")
    return figures


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES >> 20} MiB")
    if not raw.strip():
        raise Unreadable("it is empty")


def _short(text: str) -> str:
    return " ".join(text[:_MAX_TEXT].split())
