"""What stands across the border changes no answer: every named question, search and table, asked from the other side.

Two warehouses: one holds both resellers' rows, the other never had north's. Whoever belongs to south must get the same
answer from both, to the last number, whatever he names in the question.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from analytics.queries.named import QUERIES
from analytics.search.finding import Asked, find
from analytics.search.tables import TABLES, TableAsked, rows_of
from analytics.serving.ask import OutOfScope, ask, ask_freely
from relay.tree import Scope
from tests.analytics.conftest import Room, opened_room
from tests.analytics.records import START

NOW = START + timedelta(hours=1)
THEIRS, OURS = ("acme", "north"), ("other", "south")
BEHIND_THE_BORDER = [Scope(reseller="south"), Scope(account="other")]
# A row of a table for each of these, where it has the column: what questions choose by.
VARIANTS: Mapping[str, list[str]] = {
    "outcome": ["delivered", "bounced", "expired", "dropped"],
    "action": ["accept", "hold", "reject"],
    "event": ["held", "released"],
    "effect": ["hold", "release"],
    "entity_kind": ["sender", "account", "domain", "ip", "ip_provider"],
    "label": ["spam", "ham"],
    "report_type": ["bounce", "abuse"],
    "metric": ["spam_rate", "complaints"],
    "provider": ["google", "yahoo"],
}
FIXED = {
    "band": "bad",
    "proof": "verp",
    "category": "InvalidRecipient",
    "destination": "google",
    "feedback_type": "abuse",
    "author": "relay",
    "disposition": "reject",
}
# How great a part of an address's bad mail is one's own says something of the rest, and of nobody in it.
SHARES = {"culprits": "probability"}


class Rows:
    """Makes rows of somebody's, for any table that says whose its rows are."""

    def __init__(self) -> None:
        self.numbers = count(1)

    def of(self, columns: list[tuple[str, str]], account: str, reseller: str) -> Iterator[dict[str, Any]]:
        names = [name for name, _ in columns if name in VARIANTS]
        for chosen in product(*(VARIANTS[name] for name in names)):
            given = dict(zip(names, chosen, strict=True)) | {"account": account, "reseller": reseller}
            yield {name: given.get(name, self._value(name, kind, given)) for name, kind in columns}

    def _value(self, name: str, kind: str, given: dict[str, str]) -> Any:
        account, number = given["account"], next(self.numbers)
        match kind.split("(")[0]:
            case "TIMESTAMP WITH TIME ZONE":
                # no two at one instant: which of them is the last must not be a matter of luck
                ago = timedelta(minutes=10, milliseconds=number)
                return NOW + timedelta(days=1) if name in ("ends_at", "due_at") else NOW - ago
            case "DATE":
                return (NOW - timedelta(days=1)).date()
            case "BIGINT" | "INTEGER":
                return number if name in ("seq", "recipient_id") else 3
            case "DOUBLE":
                return 0.5
            case "BOOLEAN":
                return name.startswith(("is_hard", "is_delivered", "is_final"))
            case "JSON":
                return _SIGNALS if name == "signals" else "{}"
            case "VARCHAR":
                return FIXED.get(name, self._text(name, account, number, given))
            case "VARCHAR[]":
                return [f"{name} of {account}"]
        return [{"id": number, "address": f"r@{account}.example"}] if name == "recipients" else []

    def _text(self, name: str, account: str, number: int, given: dict[str, str]) -> str:
        sender = f"{account}|mailfrom|web@{account}.example"
        kinds = {"sender": sender, "domain": f"{account}.example", "ip": "192.0.2.9", "ip_provider": "192.0.2.9|google"}
        whole = {"entity": kinds.get(given.get("entity_kind", ""), account), "sender": sender, "source": "192.0.2.9"}
        whole |= {"domain": f"{account}.example", "message_id": f"mw1.{account}", "fingerprint": _fingerprint(account)}
        whole |= {"recipient": f"r@{account}.example", "decision_id": f"{account}-d{number}", "supersedes": ""}
        return whole.get(name, f"{name} of {account}")


_SIGNALS = '[{"signal": "spam", "points": 0.5, "bad": 1, "seen": 2, "rate": 0.5, "low": 0, "high": 1}]'


def _fingerprint(account: str) -> str:
    return f"{account.encode().hex():0>16}-{account.encode().hex():0>32}"


def _fill(room: Room, *owners: tuple[str, str]) -> None:
    tables = room.rows(
        "SELECT table_name, list([column_name, data_type] ORDER BY column_index) FROM duckdb_columns()"
        " JOIN duckdb_tables() USING (table_name)"
        " WHERE NOT duckdb_columns.internal GROUP BY 1"
        " HAVING list_has_all(list(column_name), ['account', 'reseller'])"
        " OR list_has_all(list(column_name), ['domain', 'taken_at'])"  # theirs whose the domain is
        " ORDER BY 1"
    )
    assert len(tables) >= 20
    for account, reseller in owners:
        rows = Rows()
        for table, columns in tables:
            for row in rows.of([(name, kind) for name, kind in columns], account, reseller):
                _insert(room, table, {name: value for name, value in row.items() if name in dict(columns)})
            if table == "recipient":  # of a sender that nobody stopped
                calm = {"sender": f"{account}|mailfrom|calm@{account}.example", "recipient_id": next(rows.numbers)}
                _insert(room, table, row | calm | {"outcome": "delivered"})


def _insert(room: Room, table: str, row: Mapping[str, Any]) -> None:
    marks = ", ".join(f"${name}" for name in row)
    with room.warehouse.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", dict(row))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Room, Room]]:
    """With both sides, and with ours alone."""
    folder: Path = tmp_path_factory.mktemp("border")
    with ExitStack() as stack:
        both = stack.enter_context(opened_room(folder / "both"))
        alone = stack.enter_context(opened_room(folder / "alone"))
        _fill(both, OURS, THEIRS)
        _fill(alone, OURS)
        yield both, alone


def _asked(name: str, account: str) -> list[dict[str, Any]]:
    """The question as it stands, and narrowed to an account; whatever it must name is that account's."""
    row = Rows()
    needed = {
        key: row._text(key, account, 1, {"account": account, "entity_kind": "sender"}) for key in QUERIES[name].params
    }
    given = {key: value for key, value in needed.items() if not isinstance(QUERIES[name].params[key], int | str)}
    given |= {"address": "192.0.2.9"} if "address" in given else {}
    given |= {"destination": "google"} if "destination" in given else {}
    return [given, given | {"account": account}] + ([given | {"reseller": "north"}] if name == "usage" else [])


def _answer(room: Room, name: str, given: dict[str, Any], scope: Scope) -> list[dict[str, Any]] | str:
    try:
        rows: list[dict[str, Any]] = ask(room.warehouse, name, given, scope, NOW).to_pylist()
    except OutOfScope:
        return "out of scope"
    plain = [{key: value for key, value in row.items() if key != SHARES.get(name)} for row in rows]
    return sorted(plain, key=repr)


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_tells_anything_from_across_the_border(rooms: tuple[Room, Room], name: str) -> None:
    both, alone = rooms

    for scope, account in product(BEHIND_THE_BORDER, ("acme", "other")):
        for given in _asked(name, account):
            assert _answer(alone, name, given, scope) == _answer(both, name, given, scope), (scope, given)


@pytest.mark.parametrize("name", [name for name in QUERIES if "{scope}" in QUERIES[name].sql])
def test_the_rows_across_the_border_do_count_for_who_may_see_them(rooms: tuple[Room, Room], name: str) -> None:
    both, alone = rooms
    (plain, *_) = _asked(name, "acme")

    assert _answer(alone, name, plain, Scope()) != _answer(both, name, plain, Scope())


@pytest.mark.parametrize("scope", BEHIND_THE_BORDER, ids=str)
def test_no_search_finds_anything_from_across_the_border(rooms: tuple[Room, Room], scope: Scope) -> None:
    both, alone = rooms

    for text, account in product(
        ["", "account:acme", "to:*@acme.example", "mw1.acme", "NOT account:other"], ["", "acme"]
    ):
        found = [find(room.warehouse, Asked(text, scope, NOW, account)).table.to_pylist() for room in (alone, both)]
        assert found[0] == found[1], (text, account)

    assert find(both.warehouse, Asked("account:acme", Scope(), NOW)).table.num_rows > 0


@pytest.mark.parametrize("table", TABLES)
def test_no_export_has_rows_from_across_the_border(rooms: tuple[Room, Room], table: str) -> None:
    both, _ = rooms

    def owners(scope: Scope, account: str = "") -> set[str]:
        asked = TableAsked(table, scope, account)
        return {row["account"] for part in rows_of(both.warehouse, asked, NOW) for row in part.to_pylist()}

    assert owners(Scope()) == {"acme", "other"}
    assert owners(Scope("south")) | owners(Scope(account="other")) == {"other"}
    assert owners(Scope("south"), "acme") | owners(Scope("nobody")) == set()


def test_free_questions_are_for_nobody_behind_a_border(rooms: tuple[Room, Room]) -> None:
    for scope in BEHIND_THE_BORDER:
        with pytest.raises(OutOfScope):
            ask_freely(rooms[0].warehouse, "SELECT count(*) FROM message", scope)
