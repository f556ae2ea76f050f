"""Numbers, instants and names as people read them. Pure: values in, text out, `now` passed in."""

import math
import re
from datetime import datetime, timedelta

UNKNOWN = "–"
FEW = 30  # below this many, a share would pretend to know more than it does: counts are shown instead
_LINKS = re.compile(r"@|:(?=//)|\bwww(?=\.)", re.IGNORECASE)
_SIGNS = re.compile(r"([\\`*_{}\[\]()#+\-.!|$~:<>&^=])")
_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b")
_INITIALS = {"ip", "dns", "dnsbl", "dmarc", "tls", "snds", "url", "id"}


def plain(text: str) -> str:
    """Make foreign text safe inside Markdown: no links, images, colours or formulas come out of a subject line.

    A word joiner keeps Markdown from linking addresses and URLs by itself; what people copy is shown by `code`.

    >>> plain("![x](a) :red[y]")
    '\\\\!\\\\[x\\\\]\\\\(a\\\\) \\\\:red\\\\[y\\\\]'
    """
    unlinked = _LINKS.sub("\\g<0>\u2060", " ".join(text.split()))
    return _SIGNS.sub(r"\\\1", unlinked)


def code(text: str) -> str:
    """Show an identifier as it is, ready to be copied.

    >>> code("shop|mail-from|a@b.example")
    '`shop|mail-from|a@b.example`'
    """
    return f"`{text}`" if text.isprintable() and text and "`" not in text else plain(text)  # an empty line ends a span


def short(text: str, length: int = 60) -> str:
    """Cut in the middle, because both ends of an address or a path tell something.

    >>> short("/var/www/shop/wp-content/plugins/gallery/x.php", 24)
    '/var/www/sho…llery/x.php'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"


def count(number: float | None) -> str:
    """Write a count with thin thousands.

    >>> count(1234567), count(None)
    ('1,234,567', '–')
    """
    return UNKNOWN if number is None or _is_nan(number) else f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    """Write a rate with its 95 % interval (Wilson) and n; below 30 the counts.

    >>> share(3, 12), share(34, 312), share(0, 138), share(0, 0)
    ('3 of 12', '11 % (8–15 %, n = 312)', '0 % (0–3 %, n = 138)', 'none yet')
    """
    if whole <= 0:
        return "none yet"
    if whole < FEW:
        return f"{count(part)} of {count(whole)}"
    low, high = _wilson(part, whole)
    return f"{_percent(part / whole)} % ({_percent(low)}–{_percent(high)} %, n = {count(whole)})"


def seconds(value: float | None) -> str:
    """Write a duration.

    >>> seconds(0.042), seconds(3.14), seconds(12.3), seconds(95), seconds(7300), seconds(None)
    ('0.04 s', '3.1 s', '12 s', '1 min 35 s', '2 h 2 min', '–')
    """
    if value is None or _is_nan(value):
        return UNKNOWN
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    if value < 3600:
        return _two(value, 60, "min", "s")
    return _two(value / 60, 60, "h", "min") if value < 172_800 else f"{value / 86_400:.0f} days"


def ago(instant: datetime | None, now: datetime) -> str:
    """Write how long ago an instant was; tolerates clocks that differ a little.

    >>> from datetime import UTC
    >>> ago(datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 24, 0, 4, tzinfo=UTC))
    '4 min ago'
    """
    if instant is None:
        return "never"
    passed = (now - instant).total_seconds()
    if passed < 2:
        return "just now"
    return f"{_one(passed)} ago"


def until(instant: datetime | None, now: datetime) -> str:
    """Write when something ends."""
    if instant is None:
        return "until a person releases it"
    left = (instant - now).total_seconds()
    return f"until {when(instant, now)}" + (f", in {_one(left)}" if left > 0 else ", over")


def clock(instant: datetime | None, now: datetime) -> str:
    """Write the time of day, to the second, in the zone of `now`."""
    if instant is None:
        return UNKNOWN
    here = instant.astimezone(now.tzinfo)
    return f"{here:%H:%M:%S} {zone_of(here)}"


def when(instant: datetime | None, now: datetime) -> str:
    """Write an instant to the minute, in the zone of `now`; the date only when it is not today's."""
    if instant is None:
        return UNKNOWN
    here = instant.astimezone(now.tzinfo)
    if here.date() == now.date():
        return f"{here:%H:%M} {zone_of(here)}"
    shown = "%-d %b %H:%M" if abs(now - here) < timedelta(days=300) else "%Y-%m-%d %H:%M"
    return f"{here:{shown}} {zone_of(here)}"


def localised(text: str, now: datetime) -> str:
    """A text of the relay, whose instants are UTC, with them in the zone of `now`.

    >>> from zoneinfo import ZoneInfo
    >>> localised("held since 2026-07-01 23:12 UTC.", datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Rome")))
    'held since 2026-07-02 01:12 CEST.'
    """

    def here(found: re.Match[str]) -> str:
        instant = datetime.fromisoformat(f"{found[1]}+00:00").astimezone(now.tzinfo)
        return f"{instant:%Y-%m-%d %H:%M} {zone_of(instant)}"

    return _UTC.sub(here, text)


def zone_of(instant: datetime) -> str:
    """Name the zone that an instant is written in; those without a name of their own by their offset.

    >>> from zoneinfo import ZoneInfo
    >>> [zone_of(datetime(2026, 7, 1, tzinfo=ZoneInfo(one))) for one in ("Europe/Rome", "Asia/Tehran", "America/Lima")]
    ['CEST', 'UTC+3:30', 'UTC−5']
    """
    name = instant.tzname() or "UTC"
    if name[0] not in "+-":
        return name
    sign = "−" if name[0] == "-" else "+"
    minutes = name[3:5]
    return f"UTC{sign}{int(name[1:3])}{f':{minutes}' if minutes not in ('', '00') else ''}"


def change(now_value: float | None, before: float | None) -> str | None:
    """Write the change against the window before; None when there is none, or nothing to compare with.

    >>> change(120, 100), change(12, 9), change(5, None), change(90, 0)
    ('+20 %', '+3', None, '+90')
    """
    if now_value is None or before is None or _is_nan(now_value) or _is_nan(before):
        return None
    shown = f"{now_value - before:+,.0f}" if before < FEW else f"{(now_value - before) / before * 100:+.0f} %"
    return None if shown.split()[0] in ("+0", "-0") else shown


def sender_parts(sender: str) -> tuple[str, str, str]:
    """Split `account|kind|value`; the value may itself contain a bar.

    >>> sender_parts("shop|newcomers|")  # relay/tree.py: all of them together
    ('shop', 'newcomers', 'new senders of account shop')
    """
    account, _, rest = sender.partition("|")
    kind, _, value = rest.partition("|")
    if kind == "newcomers" and not value:
        return account, kind, f"new senders of account {account}"
    return account, kind, value or sender


def label_of(key: str) -> str:
    """Turn a key of evidence or settings into words.

    >>> label_of("window_minutes"), label_of("ip_blocks")
    ('Window minutes', 'IP blocks')
    """
    words = key.replace("_", " ").capitalize().split(" ")
    return " ".join(word.upper() if word.lower() in _INITIALS else word for word in words)


def _one(passed: float) -> str:
    if passed < 60:
        return f"{passed:.0f} s"
    if passed < 5400:
        return f"{passed / 60:.0f} min"
    return f"{passed / 3600:.0f} h" if passed < 172_800 else f"{passed / 86_400:.0f} days"


def _two(value: float, base: int, large: str, small: str) -> str:
    whole, rest = divmod(round(value), base)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def _wilson(part: float, whole: float) -> tuple[float, float]:
    """Wilson (1927), at 95 %: keeps inside [0, 1] and is right for small counts, which Wald's interval is not."""
    z, rate = 1.959964, part / whole
    centre = (rate + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * math.sqrt(rate * (1 - rate) / whole + z * z / (4 * whole * whole))
    return max(0.0, centre - half), min(1.0, centre + half)


def _percent(rate: float) -> str:
    if rate < 1e-6:  # the arithmetic's rest of nothing
        return "0"
    return f"{rate * 100:.1g}" if rate * 100 < 1 else f"{rate * 100:.0f}"


def _is_nan(value: float) -> bool:
    return value != value
