"""A warehouse of any size, made by SQL: four weeks of mail of many senders, always the same for the same numbers.

The last week's rows are put together as the batches that ingestion reads from journal files, and go the same way from
there on (analytics/ingesting/batch.py, consequences.py, reputation/): only reading JSON is left out. The weeks before
are copies of it. What the journal does not bring (bookmarks, the history of reputation) is written beside it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from analytics.ingesting import batch, consequences
from analytics.ingesting.columns import FEATURES, JOURNAL_COLUMNS
from analytics.reputation.parts import refresh
from analytics.reputation.run import compute, compute_parts
from analytics.warehouse import Connection, Warehouse, transaction
from relay.settings import Policy

WEEKS = 4
_DAYS = 7
_CHUNK = 250_000  # messages at once: their batch lies in memory
_COPIED = (
    "message", "rejection", "recipient", "deferral", "held_event", "decision", "complaint", "label", "listing",
    "auth_failure", "alarm", "rollup_minute", "rollup_hour", "rollup_source", "rollup_part",
)  # fmt: skip

# chance(number, salt < 64) lies in [0, 1) and is the same at every run (hash(number, salt) would not do: its values for
# two salts go together); when(number) gives a day's rhythm to even steps.
_MACROS = """
CREATE OR REPLACE TEMP MACRO chance(number, salt) AS (hash(number * 64 + salt) >> 11)::DOUBLE / 9007199254740992;
CREATE OR REPLACE TEMP MACRO when_at(share) AS
    to_timestamp({start} + {seconds} * (share - 0.6 * sin(2 * pi() * {days} * share) / (2 * pi() * {days})));
"""

# A few senders send most. Every fiftieth account is a bad neighbourhood: its senders' mail is often spam.
_MESSAGES = """
CREATE OR REPLACE TEMP TABLE sent AS
SELECT i,
       'big.' || i AS message_id,
       when_at((i + chance(i, 1)) / {messages}) AS received_at,
       floor({senders} * pow(chance(i, 2), 3))::BIGINT AS s,
       s % {accounts} AS a,
       'account' || a AS account,
       'reseller' || a % 20 AS reseller,
       account || '|x-authuser|user' || s || '@site' || a || '.example' AS sender,
       chance(i, 3) < if(a % 50 = 7, 0.10, 0.008) AS is_spam,
       CASE WHEN is_spam THEN 0.85 + 0.15 * chance(i, 4) ELSE 0.8 * pow(chance(i, 4), 6) END AS score,
       CASE WHEN chance(i, 5) < 0.01 THEN 'reject' WHEN score > 0.97 THEN 'hold' ELSE 'accept' END AS action,
       CASE WHEN chance(i, 6) < 0.85 THEN 1 ELSE 2 + floor(4 * chance(i, 7))::BIGINT END AS people,
       if(is_spam, 's' || s % 40, 'n' || s || '-' || floor(5 * chance(i, 8))) AS words
FROM range($first, $last) AS t(i)
ORDER BY received_at
"""

_JUDGED = """
INSERT INTO batch BY NAME
SELECT if(action = 'reject', 'Rejection', 'Reception') AS kind,
       'big' AS node, 'made' AS boot, 100 * i AS seq, received_at AS logged_at,
       message_id, account, reseller, sender, 'x-authuser' AS sender_kind,
       if(s % 3 = 0, '/home/site' || a || '/public_html/wp-content/mail' || s % 5 || '.php', '') AS script,
       'user' || s || '@site' || a || '.example' AS mail_from,
       list_transform(range(people), lambda k: {{
           'id': 8 * i + k,
           'address': 'r' || floor(2e6 * pow(chance(i, 20 + k), 2))::BIGINT || '@' || {destination}
       }}) AS recipients,
       '192.0.2.' || a % 250 AS client_ip, 'mail.site' || a || '.example' AS helo,
       'TLSv1.3 TLS_AES_256_GCM_SHA384' AS tls, account AS credential, 'smtp' AS door,
       (2000 + 40000 * pow(chance(i, 9), 3))::BIGINT AS size_bytes,
       'user' || s || '@site' || a || '.example' AS header_from,
       if(is_spam, 'You have won, claim now ', 'Your order ') || i AS subject,
       '<' || i || '@site' || a || '.example>' AS header_message_id,
       action, CASE action WHEN 'accept' THEN 'accept' ELSE 'content' END AS rule,
       '[["rate_limit",false,"12 of 200 recipients used in 60 min"],["content",true,"score ' || round(score, 3) || '"]]'
           AS trace,
       'ok' AS standing, score, 'shipped' AS model, ['few links', 'known sender'] AS reasons,
       left(md5(words), 16) || '-' || md5(words || 'b') AS fingerprint, 1 AS same_text_senders,
       {features} AS features,
       1 AS spam_seen, 12 AS hour_used, 200 AS hour_limit, 1 AS multiplier, 'p1' AS policy_version,
       if(action = 'reject', NULL, received_at) AS received_at, 0.01 AS accept_seconds, 'main' AS pool,
       if(action = 'reject', 'data', NULL) AS stage, if(action = 'reject', 550, NULL) AS code,
       if(action = 'reject', '5.7.1', NULL) AS enhanced,
       if(action = 'reject', 'refused: the text looks like spam', NULL) AS text
FROM sent
"""

_TRIES = """
CREATE OR REPLACE TEMP TABLE tried AS
SELECT message_id, account, reseller, sender, received_at, 8 * i + k AS recipient_id, k,
       'r' || floor(2e6 * pow(chance(i, 20 + k), 2))::BIGINT || '@' || {destination} AS recipient,
       {destination} AS destination,
       chance(recipient_id, 40) AS fate,
       chance(recipient_id, 41) < 0.06 AS is_delayed,
       0.05 + exp(4 * chance(recipient_id, 42) - 2) + if(is_delayed, 300 + 900 * chance(recipient_id, 43), 0)
           AS queued_seconds,
       '198.51.100.' || 1 + floor(8 * chance(a, 44))::BIGINT AS source
FROM sent, unnest(range(people)) AS u(k)
WHERE action = 'accept'
"""

_ATTEMPT = """
       'big' AS node, 'made' AS boot, message_id, account, reseller, sender, recipient_id, recipient, destination,
       received_at, 'mx.' || destination AS remote, source, 'TLSv1.3 TLS_AES_256_GCM_SHA384' AS tls
"""
_DEFERRED = f"""
INSERT INTO batch BY NAME
SELECT 'Deferral' AS kind, 100 * (recipient_id // 8) + 10 + k AS seq, received_at + INTERVAL 1 SECOND AS logged_at,
       received_at + to_seconds(queued_seconds) AS due_at, 1.0 AS queued_seconds, 1 AS attempt, 451 AS code,
       '4.7.1' AS enhanced, 'Greylisted, please try again later' AS text,
       if(fate < 0.9, 'Greylisted', 'ReputationBlock') AS category,{_ATTEMPT}
FROM tried
WHERE is_delayed
ORDER BY logged_at
"""
_FINISHED = f"""
INSERT INTO batch BY NAME
SELECT CASE WHEN fate < 0.965 THEN 'Delivery' WHEN fate < 0.995 THEN 'Bounce' ELSE 'Expiration' END AS kind,
       100 * (recipient_id // 8) + 20 + k AS seq, received_at + to_seconds(queued_seconds) AS logged_at,
       queued_seconds, if(is_delayed, 2, 1) AS attempt,
       CASE kind WHEN 'Delivery' THEN 250 WHEN 'Bounce' THEN 550 ELSE 451 END AS code,
       CASE kind WHEN 'Delivery' THEN '2.0.0' WHEN 'Bounce' THEN if(fate < 0.985, '5.1.1', '5.7.1') ELSE '4.4.1' END
           AS enhanced,
       CASE kind WHEN 'Delivery' THEN 'ok queued as ' || recipient_id
           WHEN 'Bounce' THEN if(fate < 0.985, 'no such user here', 'blocked for reputation')
           ELSE 'too old' END AS text,
       CASE kind WHEN 'Bounce' THEN if(fate < 0.985, 'InvalidRecipient', 'ReputationBlock') END AS category,
       kind = 'Bounce' AND fate < 0.985 AS is_hard,{_ATTEMPT}
FROM tried
ORDER BY logged_at
"""

# Recipients complain, people label and release, now and then a sender is stopped, addresses are looked up, logins fail.
_OTHERS = """
INSERT INTO batch BY NAME
SELECT 'Complaint' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 30 AS seq,
       received_at + INTERVAL 3 HOUR AS logged_at, received_at + INTERVAL 3 HOUR AS reported_at, message_id, account,
       reseller, sender, 'r@provider0.example' AS recipient, 'provider0.example' AS provider, 'abuse' AS feedback_type
FROM sent WHERE action = 'accept' AND chance(i, 50) < if(is_spam, 0.02, 0.0005);
INSERT INTO batch BY NAME
SELECT 'Released' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 31 AS seq,
       received_at + INTERVAL 2 HOUR AS logged_at, message_id, account, reseller, sender, 'abuse' AS author,
       'not_spam' AS verdict, 'a newsletter' AS reason
FROM sent WHERE action = 'hold' AND chance(i, 51) < 0.3;
INSERT INTO batch BY NAME
SELECT 'Label' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 32 AS seq,
       received_at + INTERVAL 2 HOUR AS logged_at, message_id, account, reseller, sender,
       if(is_spam, 'spam', 'ham') AS label, 'person' AS origin, 1 AS weight, 'abuse' AS author, '' AS why
FROM sent WHERE action <> 'reject' AND chance(i, 52) < 0.002;
INSERT INTO batch BY NAME
SELECT 'Decision' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 33 AS seq, received_at AS logged_at,
       'big-' || i AS decision_id, 'relay' AS author, account, reseller, sender,
       ['hold', 'block', 'throttle', 'watch'][1 + i % 4] AS effect, 'spam_rate' AS rule,
       '5 of 9 messages in the last hour were scored as spam' AS reason,
       '{"spam":5,"seen":9,"window_minutes":60,"line":0.2}' AS evidence, 0.994 AS certainty, 1 AS value,
       received_at AS starts_at, received_at + INTERVAL 6 HOUR AS ends_at, '' AS supersedes, 'p1' AS policy_version,
       'shipped' AS model
FROM sent WHERE is_spam AND chance(i, 53) < 0.03;
INSERT INTO batch BY NAME
SELECT 'Listing' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 34 AS seq, received_at AS logged_at,
       '198.51.100.' || 1 + i % 8 AS address, 'zone' || i // 8 % 10 || '.example' AS zone,
       if(chance(i // 80, 54) < 0.01, 'listed', 'clean') AS status, '' AS answer, received_at AS checked_at,
       'ip' AS entity_kind, status = 'listed' AS confirmed,
       if(status = 'listed', received_at - INTERVAL 1 HOUR, NULL) AS since_at, []::VARCHAR[] AS codes, 0.5 AS weight
FROM sent WHERE i % 150 < 1;
INSERT INTO batch BY NAME
SELECT 'AuthFailure' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 35 AS seq, received_at AS logged_at,
       '203.0.113.' || i % 250 AS client_ip, left(md5('' || i % 5000), 16) AS login_hash, 'PLAIN' AS mechanism
FROM sent WHERE chance(i, 55) < 0.02;
INSERT INTO batch BY NAME
SELECT 'Alarm' AS kind, 'big' AS node, 'made' AS boot, 100 * i + 36 AS seq, received_at AS logged_at,
       'queue_age' AS condition, account, reseller, 'the oldest message of a destination waits for an hour' AS text,
       '{}' AS evidence
FROM sent WHERE chance(i, 56) < 0.0002;
"""

# A file a second; a row of every end sender's reputation an hour, as run.py keeps them when nothing moves.
_BOOKMARKS = """
INSERT INTO ingested_file
SELECT 'relay-big-made-' || n, 8, 20000, to_timestamp({start} + {seconds} * (1 - {weeks} * (1 - n / {files})))
FROM range({files}) AS t(n)
"""
_HISTORY = """
INSERT INTO reputation BY NAME
SELECT * EXCLUDE (hour) REPLACE (
           $now - to_hours(hour) AS computed_at,
           greatest(0, score - 3 * chance((hash(entity) % 1000000)::BIGINT + hour, 60)) AS score
       )
FROM (SELECT unnest(range({hours}, 0, -1)) AS hour), reputation_now
WHERE entity_kind IN ('sender', 'account', 'ip')
"""


@dataclass(frozen=True, slots=True)
class World:
    """How much, and until when. `messages` is a multiple of four."""

    messages: int
    senders: int
    accounts: int
    until: datetime

    @classmethod
    def of(cls, messages: int, until: datetime) -> "World":
        """A sender per 500 messages, an account per 40 senders."""
        senders = max(80, messages // 500)
        return cls(messages, senders, max(2, senders // 40), until)


def make(path: Path, world: World, tell: Callable[[int, float], None]) -> None:
    """Make the warehouse at `path`; `tell` hears of messages made and seconds since the start."""
    began = time.perf_counter()
    warehouse = Warehouse.open(path, path.parent / "journal")
    week = world.messages // WEEKS
    try:
        warehouse.write(lambda connection: connection.execute(_texts(world, _MACROS))).result()
        for first in range(0, week, _CHUNK):
            last = min(first + _CHUNK, week)
            warehouse.write(lambda connection, span=(first, last): _chunk(connection, world, *span)).result()
            tell(last, time.perf_counter() - began)
        while refresh(warehouse, Policy(), world.until):
            pass
        for number in range(1, WEEKS):
            warehouse.write(lambda connection, number=number: _copy(connection, number)).result()
            tell((number + 1) * week, time.perf_counter() - began)
        compute(warehouse, world.until)
        compute_parts(warehouse, world.until)
        warehouse.write(lambda connection: _beside(connection, world)).result()
    finally:
        warehouse.close()


def _chunk(connection: Connection, world: World, first: int, last: int) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in JOURNAL_COLUMNS.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE batch ({columns}, filename VARCHAR)")
    connection.execute(_texts(world, _MESSAGES), {"first": first, "last": last})
    for statement in (_JUDGED, _TRIES):
        connection.execute(_texts(world, statement))
    connection.execute(_DEFERRED)
    connection.execute(_FINISHED)
    connection.execute(_OTHERS)
    with transaction(connection):
        consequences.follow(connection, batch.insert(connection), Policy())
    connection.execute("DROP TABLE batch")
    connection.execute("CHECKPOINT")


def _copy(connection: Connection, number: int) -> None:
    """Copy the last week to `number` weeks before, under keys of its own."""
    for table in _COPIED:
        described = connection.sql(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall()
        instants = [name for name, kind in described if kind == "TIMESTAMP WITH TIME ZONE"]
        moved = [f"{name} - INTERVAL {7 * number} DAY AS {name}" for name in instants]
        for key in {"message_id", "decision_id"} & {name for name, _ in described}:
            moved.append(f"if({key} = '', '', 'week{number}.' || {key}) AS {key}")
        if "seq" in dict(described):
            moved.append(f"seq + {number * 10**12} AS seq")
        week = f"rowid < {connection.sql(f'SELECT count(*) FROM {table}').fetchall()[0][0] // number}"
        with transaction(connection):
            connection.execute(f"INSERT INTO {table} SELECT * REPLACE ({', '.join(moved)}) FROM {table} WHERE {week}")
    connection.execute("CHECKPOINT")


def _beside(connection: Connection, world: World) -> None:
    with transaction(connection):
        # each minute lies in one batch but for the edges: nothing is left to merge
        for table in ("rollup_minute", "rollup_hour", "rollup_source"):
            connection.execute(f"UPDATE {table} SET is_merged = true")
        connection.execute(_texts(world, _BOOKMARKS))
        connection.execute(_texts(world, _HISTORY), {"now": world.until})
    connection.execute("CHECKPOINT")


def _texts(world: World, statement: str) -> str:
    seconds = _DAYS * 86_400
    values: dict[str, Any] = {
        "messages": world.messages // WEEKS,
        "senders": world.senders,
        "accounts": world.accounts,
        "days": _DAYS,
        "weeks": WEEKS,
        "seconds": seconds,
        "start": (world.until - timedelta(days=_DAYS)).timestamp(),
        "files": min(seconds * WEEKS, world.messages),
        "hours": _DAYS * 24,
        # a few providers get most; the domain of a recipient is its destination
        "destination": "'provider' || floor(400 * pow(chance(i, 30 + k), 4))::BIGINT || '.example'",
        "features": _features(),
    }
    return statement.format(**values)


def _features() -> str:
    """A scored message's features; numbers that differ, the rest plain."""
    plain = {"BIGINT": "(100 * chance(i, 10))::BIGINT", "DOUBLE": "chance(i, 11)", "BOOLEAN": "true"}
    special = {
        "from_domain": "'site' || a || '.example'",
        "link_domains": "['site' || a || '.example', if(is_spam, 'win' || s % 20 || '.example', 'cdn.example')]",
    }
    fields = [
        f"'{name}': {special.get(name, plain.get(kind, '[]' if kind.endswith('[]') else repr('text')))}::{kind}"
        for name, kind in FEATURES.items()
    ]
    return "{" + ", ".join(fields) + "}"
