"""Microsoft's SNDS: what Outlook saw of each of our addresses on a day (spec 2.11).

The classic CSV comes without a header, its columns known by position; with one, and in JSON of the REST interface of
2026, columns are known by name. That interface's names are not published: those below are read, whatever their spelling
(ActivityStart, activity_start, "Activity period start"); columns of other names are kept as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from analytics.reports.unpacking import Unreadable

MAX_BYTES = 16 * 1024 * 1024
_MAX_TEXT = 255
_PACIFIC = ZoneInfo("America/Los_Angeles")  # whose days SNDS reports
_POSITIONS = "ip,begin,end,rcpt,data,recipients,result,complaints,trap_begin,trap_end,trap_hits,helo,mail_from,comments"
_ALIASES = {
    "ip": "ipaddress address ipv4 sendingip",
    "begin": "activitystart activityperiodstart activitystarttime periodfrom startdate start date",
    "end": "activityend activityperiodend activityendtime periodto enddate",
    "rcpt": "rcptcommands rcptcount rcptcommandcount",
    "data": "datacommands datacount datacommandcount",
    "recipients": "messagerecipients recipientcount messagerecipientcount",
    "result": "filterresult filterresults filterverdict",
    "complaints": "complaintrate complaintratio",
    "trap_begin": "trapmessagestart trapperiodstart trapmessageperiodstart trapperiodfrom",
    "trap_end": "trapmessageend trapperiodend trapmessageperiodend trapperiodto",
    "trap_hits": "traphits traphitcount traps trapmessages",
    "helo": "samplehelo heloexample",
    "mail_from": "samplemailfrom mailfromexample",
    "comments": "comment",
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in [name.replace("_", ""), *aliases.split()]}
_FORMATS = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M", "%m/%d/%Y")
_RATE = re.compile(r"([<>]?)\s*(\d{1,3}(?:\.\d{1,6})?)\s*(%?)", re.ASCII)


class SndsDay(msgspec.Struct, frozen=True, kw_only=True):
    """One address in one period. `result`: GREEN (< 10 % spam), YELLOW or RED (> 90 %). The complaint rate lies between
    `complaint_low` and `complaint_high`, both in [0, 1]: most is given as "< 0.1%". `extra`: columns of other names."""

    ip: str
    begin_at: datetime
    end_at: datetime
    rcpt: int = 0
    data: int = 0
    recipients: int = 0
    result: str = ""
    complaint_low: float | None = None
    complaint_high: float | None = None
    trap_begin_at: datetime | None = None
    trap_end_at: datetime | None = None
    trap_hits: int = 0
    helo: str = ""
    mail_from: str = ""
    comments: str = ""
    extra: dict[str, str] = {}


def read_snds(raw: bytes) -> list[SndsDay]:
    """Read a file of SNDS. Raises Unreadable with the line and the reason."""
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    if not text.strip():
        raise Unreadable("it is empty")
    rows = _of_json(text) if text.lstrip()[:1] in "[{" else _of_csv(text)
    days = [_day(number, row) for number, row in enumerate(rows, 1)]
    if not days:
        raise Unreadable("it has no row")
    return days


def _of_json(text: str) -> list[Mapping[str, str]]:
    try:
        found: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unreadable("its JSON has no list of rows")
    return [{_name(key): "" if value is None else str(value) for key, value in row.items()} for row in found]


def _of_csv(text: str) -> Iterable[Mapping[str, str]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if any(field.strip() for field in line)]
    except csv.Error as error:
        raise Unreadable(f"it is no CSV: {error}") from None
    names = _POSITIONS.split(",")
    if not _is_address(lines[0][0]):
        names = [_name(field) for field in lines.pop(0)]
        if "ip" not in names or "begin" not in names:
            raise Unreadable("its first line names no address and period: no file of SNDS")
    return [dict(zip(names, line, strict=False)) for line in lines]


def _name(field: str) -> str:
    folded = re.sub(r"[^a-z0-9]", "", field.lower())[:60]
    return _NAMES.get(folded, f"x_{folded}")


def _day(number: int, row: Mapping[str, str]) -> SndsDay:
    try:
        low, high = _rate(row.get("complaints", ""))
        begin = _instant(row.get("begin", ""))
        if begin is None:
            raise ValueError("there is no begin")
        return SndsDay(
            ip=str(ip_address(row.get("ip", "").strip())),
            begin_at=begin,
            end_at=_instant(row.get("end", "")) or begin,
            rcpt=_count(row.get("rcpt", "")),
            data=_count(row.get("data", "")),
            recipients=_count(row.get("recipients", "")),
            result=_short(row.get("result", "")).upper(),
            complaint_low=low,
            complaint_high=high,
            trap_begin_at=_instant(row.get("trap_begin", "")),
            trap_end_at=_instant(row.get("trap_end", "")),
            trap_hits=_count(row.get("trap_hits", "")),
            helo=_short(row.get("helo", "")),
            mail_from=_short(row.get("mail_from", "")),
            comments=_short(row.get("comments", "")),
            extra={key[2:]: _short(value) for key, value in row.items() if key.startswith("x_")},
        )
    except ValueError as error:
        raise Unreadable(f"row {number}: {error}") from None


def _instant(text: str) -> datetime | None:
    text = text.strip()
    if not text:
        return None
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=_PACIFIC).astimezone(UTC)
        except ValueError:
            continue
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=_PACIFIC)).astimezone(UTC)


def _count(text: str) -> int:
    text = text.strip().replace(",", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f"{text[:40]!r} is no count")
    return int(text)


def _rate(text: str) -> tuple[float | None, float | None]:
    """Read a rate as the bounds it gives.

    >>> _rate("< 0.1%"), _rate("0.25 %"), _rate("")
    ((0.0, 0.001), (0.0025, 0.0025), (None, None))
    """
    if not text.strip() or text.strip().lower() in ("n/a", "none", "null"):
        return None, None
    match = _RATE.fullmatch(text.strip())
    value = round(float(match[2]) / (100 if match[3] else 1), 9) if match else -1.0
    if match is None or value > 1:
        raise ValueError(f"{text[:40]!r} is no rate")
    return (0.0, value) if match[1] == "<" else (value, 1.0) if match[1] == ">" else (value, value)


def _short(text: str) -> str:
    return " ".join(text[:_MAX_TEXT].split())


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip())
    except ValueError:
        return False
    return True
