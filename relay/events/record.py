"""What every record of the journal begins with; see events.py."""

from datetime import datetime

import msgspec

SCHEMA = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    """What every record carries."""

    node: str
    boot: str
    seq: int
    logged_at: datetime
    schema: int = SCHEMA


class Rcpt(msgspec.Struct, frozen=True, gc=False):
    """One recipient: its stable id within the node's spool, and its address."""

    id: int
    address: str


class Attributed(Record, frozen=True, kw_only=True):
    """A record about one message of one end sender."""

    message_id: str
    account: str
    reseller: str = ""
    sender: str
