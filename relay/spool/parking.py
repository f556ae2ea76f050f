"""Mail into its hold and out of it: what changes in the index, within the caller's transaction."""

import sqlite3
from collections.abc import Iterable, Sequence

from relay.spool.clusters import note
from relay.spool.index import HELD, QUEUED, get_meta, set_state
from relay.tree import all_of


def hold_sender(connection: sqlite3.Connection, sender: str, now_unix: float) -> list[int]:
    """Park every queued recipient of a sender; return their message ids."""
    found = _park(connection, sender)
    note(connection, found, now_unix, sender)
    return found


def hold_group(connection: sqlite3.Connection, senders: Iterable[str], rule: str, now_unix: float) -> list[int]:
    """Park every queued recipient of these senders under a group, which `rule` stands for; return their message ids."""
    ids = sorted({message for sender in senders for message in _park(connection, sender)})
    connection.executemany("UPDATE message SET rule = ? WHERE id = ?", [(rule, message) for message in ids])
    note(connection, ids, now_unix)
    return ids


def hold_account(connection: sqlite3.Connection, account: str, now_unix: float) -> list[int]:
    """Park every queued recipient of an account, but not what the relay itself tells it; return the message ids."""
    first, behind = f"{account}|", f"{account}}}"  # the character behind |
    senders = connection.execute(
        "SELECT DISTINCT sender FROM lane WHERE sender >= ? AND sender < ? AND sender NOT LIKE ?",
        (first, behind, f"{first}bounce|%"),
    ).fetchall()
    found = sorted({message for (sender,) in senders for message in _park(connection, sender)})
    note(connection, found, now_unix, all_of(account))
    return found


def release(connection: sqlite3.Connection, due: Sequence[tuple[float, int]], now_unix: float) -> list[int]:
    """Queue the held recipients of messages, given as (due, message id); return those messages that were held.

    Their time to be delivered in begins anew: a day in the hold must not cost them their retries.
    """
    released = []
    for due_unix, message in due:
        if connection.execute(
            "UPDATE message SET state = ?, released_unix = ? WHERE id = ? AND state = ?",
            (QUEUED, max(due_unix, now_unix), message, HELD),
        ).rowcount:
            connection.execute(
                "UPDATE recipient SET state = 0, due = ? WHERE state = 1 AND message = ?", (due_unix, message)
            )
            released.append(message)
    return released


def drop(connection: sqlite3.Connection, messages: Iterable[int]) -> tuple[list[int], int, list[tuple[int, int]]]:
    """Delete those of the messages that are held, with all their recipients.

    Returns their ids, how many recipients went, and (segment, bytes) of each message.
    """
    dropped, deleted, gone = [], 0, []
    for message in messages:
        found = connection.execute(
            "DELETE FROM message WHERE id = ? AND state = ? RETURNING segment, length + record_length", (message, HELD)
        ).fetchall()
        if found:
            gone += found
            deleted += connection.execute("DELETE FROM recipient WHERE state = 1 AND message = ?", (message,)).rowcount
            dropped.append(message)
    return dropped, deleted, gone


def keep_pace(connection: sqlite3.Connection, until: Iterable[tuple[str, float]]) -> None:
    """Released mail of these senders has its departures taken until then."""
    connection.executemany("INSERT OR REPLACE INTO pace VALUES (?, ?)", until)


def _park(connection: sqlite3.Connection, sender: str) -> list[int]:
    park = "UPDATE recipient SET state = 1, due = NULL WHERE lane IN (SELECT id FROM lane WHERE sender = ?) AND "
    rows = connection.execute(park + "due IS NOT NULL AND state != 1 RETURNING message", (sender,)).fetchall()
    rows += connection.execute(
        park + "id >= ? AND due IS NULL AND state = 0 RETURNING message", (sender, get_meta(connection, "fresh_from"))
    ).fetchall()
    found = sorted({int(row[0]) for row in rows})
    set_state(connection, HELD, found)
    return found
