"""An address in the warehouse's tables: how many rows have it, and a keyed name in its place.

Every text of every table, also within lists, structs and JSON, so that a column that is added needs no word here.
"""

import re
from collections.abc import Iterable

from duckdb.sqltypes import DuckDBPyType

from analytics.warehouse import Connection
from relay.privacy.forgotten import BEFORE, BEHIND, Forgotten


def found_in(connection: Connection, forgotten: Forgotten) -> dict[str, int]:
    """table -> rows that have the address."""
    counts = {}
    for table in _tables(connection):
        changes = _changes(connection, table, forgotten)
        if changes:
            query = f"SELECT count(*) FROM {table} WHERE {_where(changes)}"  # noqa: S608 - names are the catalog's
            counts[table] = int(connection.execute(query, _values(forgotten)).fetchall()[0][0])
    return {table: count for table, count in counts.items() if count}


def replace_in(connection: Connection, forgotten: Forgotten, names: Iterable[str]) -> None:
    """Put the token in its place in these tables, in the caller's transaction."""
    for table in names:
        changes = _changes(connection, table, forgotten)
        sets = ", ".join(f'"{name}" = {new}' for name, new in changes.items())
        query = f"UPDATE {table} SET {sets} WHERE {_where(changes)}"  # noqa: S608
        connection.execute(query, _values(forgotten))


def _tables(connection: Connection) -> list[str]:
    query = "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND NOT internal ORDER BY table_name"
    return [str(name) for (name,) in connection.sql(query).fetchall()]


def _changes(connection: Connection, table: str, forgotten: Forgotten) -> dict[str, str]:
    """column -> the expression of its new value, for each that can have text."""
    empty = connection.sql(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608
    found = {name: _rewritten(f'"{name}"', kind) for name, kind in zip(empty.columns, empty.types, strict=True)}
    return {name: new for name, new in found.items() if new is not None}


def _where(changes: dict[str, str]) -> str:
    # the plain search first: it is a hundred times quicker than the pattern, and most rows end there
    one = '(contains(lower(CAST("{0}" AS VARCHAR)), $address) AND "{0}" IS DISTINCT FROM {1})'
    return " OR ".join(one.format(name, new) for name, new in changes.items())


def _rewritten(expression: str, kind: object, depth: int = 0) -> str | None:
    """The expression with the address replaced; None for a type without text."""
    assert isinstance(kind, DuckDBPyType)
    name = str(kind.id)
    if str(kind) == "JSON":
        return f"CAST({_replaced(f'CAST({expression} AS VARCHAR)')} AS JSON)"
    if name == "varchar":
        return _replaced(expression)
    if name == "list":
        item = f"x{depth}"
        inner = _rewritten(item, kind.children[0][1], depth + 1)
        return None if inner is None else f"[{inner} FOR {item} IN {expression}]"
    if name == "struct":
        parts = [(field, _rewritten(f'{expression}."{field}"', child, depth)) for field, child in kind.children]
        if all(new is None for _, new in parts):
            return None
        plain = {field: f'{expression}."{field}"' for field, _ in parts}
        packed = ", ".join(f'"{field}" := {new or plain[field]}' for field, new in parts)
        return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({packed}) END"
    return None


def _replaced(text: str) -> str:
    # twice: RE2 looks neither back nor ahead, so the letter between two addresses belongs to the first one's match
    once = f"regexp_replace({text}, $pattern, $new, 'gi')"
    return f"regexp_replace({once}, $pattern, $new, 'gi')"


def _values(forgotten: Forgotten) -> dict[str, str]:
    return {
        "address": forgotten.address,
        "pattern": rf"(^|[^{BEFORE}]){re.escape(forgotten.address)}($|[^{BEHIND}.]|\.$|\.[^A-Za-z0-9])",
        "new": rf"\1{forgotten.token}\2",
    }
