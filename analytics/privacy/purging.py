"""Deletes what is older than asked, or all that is kept of one customer: what retention does by itself, done now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.ingesting.rollups import expirable, expire
from analytics.privacy.files import rewrite
from analytics.warehouse import Connection, Warehouse, transaction
from relay.privacy.views import Trace


class _Line(msgspec.Struct, gc=False):
    account: str = ""


@dataclass(frozen=True, slots=True)
class Purging:
    """One at a time, in a thread. `old_files` names the files of journals that are older than so many days."""

    warehouse: Warehouse
    ingest: Ingest
    folder: JournalFolder
    old_files: Callable[[datetime, int], list[Path]]

    def older_than(self, now: datetime, days: int, *, dry_run: bool) -> list[Trace]:
        """Delete rows and archived journals that are older. Decisions and rollups stay, as after retention."""
        if dry_run:
            with self.warehouse.cursor() as cursor:
                rows = expirable(cursor, now, days)
        else:
            rows = expire(self.warehouse, now, days)
        files = self.old_files(now, days)
        if not dry_run:
            for path in files:
                path.unlink(missing_ok=True)
        return _traces(("warehouse", "rows", rows), ("journals", "archived files", len(files)))

    def of_account(self, account: str, *, dry_run: bool) -> list[Trace]:
        """Delete every row and every archived record of an account; what is counted of all together stays."""
        self.ingest.run()
        with self.ingest.turn:
            found = self.warehouse.write(lambda connection: _rows_of(connection, account, dry_run)).result()
            lines = 0
            for path in self.folder.archived():
                with path.open("rb") as file:
                    count = sum(_is_of(line, account) for line in file)
                if count and not dry_run:
                    rewrite(path, lambda line: b"" if _is_of(line, account) else line)
                lines += count
        rows = [("warehouse", table, count) for table, count in found.items()]
        return _traces(*rows, ("journals", "archived records", lines))


def _rows_of(connection: Connection, account: str, dry_run: bool) -> dict[str, int]:
    tables = connection.sql(
        "SELECT DISTINCT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name)"
        " WHERE column_name = 'account' AND NOT duckdb_tables.temporary ORDER BY table_name"
    ).fetchall()
    found = {}
    with transaction(connection):
        for (table,) in tables:
            verb = "SELECT count(*)" if dry_run else "DELETE"
            query = f"{verb} FROM {table} WHERE account = ?"
            found[str(table)] = int(connection.execute(query, [account]).fetchall()[0][0])
    return found


def _is_of(line: bytes, account: str) -> bool:
    if account.encode() not in line:
        return False
    try:
        return msgspec.json.decode(line, type=_Line).account == account
    except msgspec.DecodeError:
        return False


def _traces(*rows: tuple[str, str, int]) -> list[Trace]:
    return [Trace(store, what, count, "deleted") for store, what, count in rows if count]
