"""Bounces that are known from the journal before the warehouse has them: whoever is written to in vain must not wait
until everything else of that second has been ingested.

Only what came to a return path of ours: whose it is stands in its record. What is missed here, or goes wrong, is found
in the warehouse a moment later, where all mail of the inboxes ends up.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from analytics.inbox.clues import Owner
from analytics.inbox.mails import Unread
from relay.events import Inbound, decode

_MARK = b'"kind":"Inbound"'
# With more files waiting ingestion lags: a bounce could be counted before the delivery it is of
MOST_FILES = 8


def arriving(files: Sequence[Path]) -> list[Unread]:
    """Return the bounces to return paths in complete journal files, in order of coming."""
    found: dict[str, list[Inbound]] = {}
    for path in files if len(files) <= MOST_FILES else ():
        for record in _records(path):
            if record.message_id and record.file:
                found.setdefault(record.file, []).append(record)
    return [_unread(records) for records in found.values()]


def _records(path: Path) -> list[Inbound]:
    try:
        content = path.read_bytes()
    except OSError:  # it was ingested meanwhile
        return []
    lines = [line for line in content.splitlines() if _MARK in line[:200]] if _MARK in content else []
    try:
        return [record for record in map(decode, lines) if isinstance(record, Inbound)]
    except (msgspec.DecodeError, UnicodeDecodeError):  # ingestion says so, and sets the file aside
        return []


def _unread(records: Sequence[Inbound]) -> Unread:
    """One mail, as all its records have it: sorted as the warehouse would answer (mails.py)."""
    first = min(records, key=lambda one: one.report_type)
    owners = [
        Owner(one.message_id, one.account, one.reseller, one.sender, one.recipient_id, one.recipient)
        for one in sorted(records, key=lambda one: one.recipient_id)
    ]
    return Unread(first.file, first.report_type, first.recipient, first.mail_from, first.origin, tuple(owners))
