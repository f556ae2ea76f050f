"""The tables of the relay's state, the same in SQLite and PostgreSQL. migrations/ makes them; this names them.

The tree is reseller > account > domain and sender. Decisions and the audit log are append-only: (node, sequence) is
their key, so that several nodes' rows merge by union.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite has no time zones and would hand it back naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

reseller = Table(
    "reseller",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("is_suspended", Boolean, nullable=False),
    Column("contact", Text, nullable=False),
    Column("removed_at", Instant),
)

# Append-only but for the oldest; the last version of a reseller is in force.
brand = Table(
    "brand",
    metadata,
    Column("reseller", String(64), ForeignKey("reseller.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", String(80), nullable=False),
    Column("colour", String(7), nullable=False),
    Column("logo", LargeBinary, nullable=False),
    Column("logo_type", String(16), nullable=False),
    Column("reply_to", String(320), nullable=False),
    Column("notice_text", Text, nullable=False),
    Column("web_host", String(255), nullable=False),
    Column("release_host", String(255), nullable=False),
    Column("bounce_host", String(255), nullable=False),
    Column("dashboard_host", String(255), nullable=False),
    Column("author", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
)

# A removed account keeps its row: its name stands in decisions, mail and the audit log, and is not given out again.
account = Table(
    "account",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("reseller", String(64), ForeignKey("reseller.name")),
    Column("shared_host", Boolean, nullable=False),
    Column("contact", Text, nullable=False),
    Column("is_suspended", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("identity_rules", JSON, nullable=False),
    Column("normalises_line_ends", Boolean, nullable=False),
    Column("list_unsubscribe", Boolean, nullable=False),
    Column("removed_at", Instant),
    Column("pool", String(64), nullable=False),
)

domain = Table(
    "domain",
    metadata,
    Column("account", String(64), ForeignKey("account.name"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("return_path_host", String(255), nullable=False),
    Column("return_path_verified_at", Instant),
)

# Two accounts may claim one domain, each with keys of its own: whose record its owner published is the one that signs.
# Rows outlive the domain's: what the owner has published is of use again when the domain comes back.
dkim_key = Table(
    "dkim_key",
    metadata,
    Column("account", String(64), ForeignKey("account.name"), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("selector", String(63), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("private_key", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant),
    Column("retired_at", Instant),
)

# A sender gets a row when somebody first decides about it; that it exists at all is known from the mail.
sender = Table(
    "sender",
    metadata,
    Column("key", Text, primary_key=True),
    Column("account", String(64), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("value", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("login", String(255), primary_key=True),
    Column("account", String(64), ForeignKey("account.name"), nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("previous_hash", Text, nullable=False),
    Column("previous_until", Instant),
    Column("networks", JSON, nullable=False),
    Column("sender_domains", JSON, nullable=False),
    Column("end_sender", Text, nullable=False),
    Column("last_used_at", Instant),
    Column("last_used_ip", String(64), nullable=False),
)

network = Table(
    "network",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("account", String(64), ForeignKey("account.name"), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# `key` is what envelope.Level says of the level; `account` is "" for a reseller's. An absent number: the wider level's.
limit_set = Table(
    "limit_set",
    metadata,
    Column("level", String(16), primary_key=True),
    Column("key", String(640), primary_key=True),
    Column("account", String(64), nullable=False, index=True),
    Column("rcpts_per_hour", Integer),
    Column("rcpts_per_day", Integer),
    Column("unique_rcpts_per_hour", Integer),
    Column("rcpts_per_message", Integer),
    Column("messages_per_hour", Integer),
)

# What signs return paths (delivery/verp.py); `secret` is hexadecimal. The youngest signs.
verp_key = Table(
    "verp_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("secret", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
)

egress_source = Table(
    "egress_source",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("address", String(64), nullable=False),
    Column("ehlo", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("is_warming", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# A pool exists while it has members; the five of delivery/egress/sources.py always do.
egress_member = Table(
    "egress_member",
    metadata,
    Column("pool", String(64), primary_key=True),
    Column("source", String(64), ForeignKey("egress_source.name"), primary_key=True),
    Column("weight", Integer, nullable=False),
)

# `account` "": the row holds for all of them. `ends_at` absent: for good.
suppression = Table(
    "suppression",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("reason", String(16), nullable=False),
    Column("evidence", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ends_at", Instant),
)

decision = Table(
    "decision",
    metadata,
    Column("node", String(16), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("author", Text, nullable=False),
    Column("account", String(64), nullable=False),
    Column("sender", Text, nullable=False, index=True),
    Column("effect", String(16), nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant),
    Column("evidence", JSON, nullable=False),
    Column("certainty", Float),
    Column("value", Float),
    Column("supersedes", String(64), nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("model", Text, nullable=False),
)

# Append-only; the last row is in force. `version` is the content's hash, `origin` as policies/book.py has it.
policy_version = Table(
    "policy_version",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("version", String(16), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("author", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    Column("text", Text, nullable=False),
)

user = Table(
    "user",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("reseller", String(64)),
    Column("account", String(64)),
    Column("password_hash", Text, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

# `kind` and `key` as delivery/pauses.py has them.
pause = Table(
    "pause",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("key", String(640), primary_key=True),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Instant, nullable=False),
)

# `account` "": called for all accounts; `conditions` empty: for all. `secret` in clear: calls are signed with it.
webhook = Table(
    "webhook",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("conditions", JSON, nullable=False),
    Column("secret", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# What people say of alarms; `until` NULL: acknowledged, until it is raised again.
alarm_mark = Table(
    "alarm_mark",
    metadata,
    Column("condition", String(64), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("author", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
)

sender_note = Table(
    "sender_note",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("sender", Text, nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("noted_at", Instant, nullable=False),
)

# Searches and free questions people keep, by the principal's id; `kind` is search or sql.
saved_question = Table(
    "saved_question",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("text", Text, nullable=False),
    Column("saved_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("node", String(16), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("logged_at", Instant, nullable=False),
    Column("principal", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("command", String(64), nullable=False),
    Column("account", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("digest", String(64), nullable=False),
)
