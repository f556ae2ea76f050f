"""The mail of a notice, as bytes. Pure: what it tells has been looked up before.

From the null sender and marked as automatic (RFC 3834), so that nothing answers it and a report about it goes nowhere.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, formataddr

from relay.resellers.brand import NO_BRAND, Brand
from relay.spool.notices import Audience, Bundle, Group

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One notice in words: its headline, paragraphs, and lines that stand as they are (messages, links, commands)."""

    headline: str
    paragraphs: tuple[str, ...]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """Who writes to whom, from where, in whose name."""

    sender: str
    reply_to: str
    to: str
    hostname: str
    now: datetime
    brand: Brand = NO_BRAND


def notice_mail(group: Group, told: Bundle, items: Sequence[Item], heading: Heading) -> bytes:
    """Return the whole mail, CRLF line ends. `items` are those notices of `told` that are told in full."""
    more = told.total - len(told.notices)
    head = [
        f"From: {formataddr((heading.brand.name or 'Mail relay', heading.sender))}",
        f"To: <{heading.to}>",
        f"Reply-To: <{heading.reply_to}>",
        f"Subject: {_subject(group, items, more)}",
        f"Date: {format_datetime(heading.now)}",
        f"Message-ID: <notice.{group.audience}.{told.last_id}.{heading.now:%Y%m%d%H%M%S%f}@{heading.hostname}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 section 5
        "X-Auto-Response-Suppress: All",  # Exchange heeds this one
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return "\r\n".join([*head, "", *_body(told, items, more), *_closing(heading.brand), ""]).encode("utf-8", "replace")


def _subject(group: Group, items: Sequence[Item], more: int) -> str:
    # never words of an abuser's in a header: a sender's name is whatever a client wrote
    where = f"account {group.whose}" if group.audience is Audience.CONTACT else "this relay"
    if len(items) + more == 1:
        return f"{items[0].headline} ({where})"
    return f"{len(items) + more} notices about senders of {where}"


def _body(told: Bundle, items: Sequence[Item], more: int) -> list[str]:
    lines: list[str] = []
    for number, item in enumerate(items, 1):
        lines += [f"{number}. {item.headline}" if len(items) > 1 else item.headline, ""]
        for paragraph in item.paragraphs:
            lines += [*textwrap.wrap(_clean(paragraph), _WIDTH, break_on_hyphens=False), ""]
        lines += [*(_clean(line) for line in item.lines), ""]
    if more:
        lines.append(f"And {more} more. All of them:")
        lines += [f"  {count} x {kind} ({_clean(condition)})" for kind, condition, count in told.counts]
    return lines


def _closing(brand: Brand) -> list[str]:
    """What a reseller adds, a paragraph for each of its lines."""
    wrapped = [textwrap.wrap(_clean(line), _WIDTH, break_on_hyphens=False) for line in brand.notice_text.splitlines()]
    return ["--", *(line for paragraph in wrapped for line in paragraph or [""])] if brand.notice_text else []


def _clean(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
