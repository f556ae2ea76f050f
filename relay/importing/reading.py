"""Reads a CSV file row by row: what each says, or what is wrong with it. Pure but for the open file."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import IO

from relay.control.errors import Invalid
from relay.control.suppression.desk import checked_address
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import SuppressionRow
from relay.importing.formats import SKIPPED, Format, meaning, plain, recognised

_EVIDENCE_LENGTH = 300
_SHAPES = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y-%m-%d")
_CHARACTERS_AT_ONCE = 200_000  # of one cell


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the text says why, and what would be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line; it is left out."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that says nothing to keep, such as a soft bounce or what is over."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line below the header: cells by plain column name."""

    number: int
    cells: dict[str, str]


class Table:
    """A CSV file with a header. Separator: comma, semicolon or tab, whichever the first line has most."""

    def __init__(self, file: IO[str]) -> None:
        """Raises UnreadableFile for one without a header of names."""
        csv.field_size_limit(_CHARACTERS_AT_ONCE)
        first = file.readline()
        if not first.strip():
            raise UnreadableFile("the file is empty")
        separator = max(",;\t", key=first.count)
        self.columns: Sequence[str] = [plain(name) for name in next(csv.reader([first], delimiter=separator))]
        self._rest = [first] if "@" in first else []
        if self._rest:  # no header: one address a line
            self.columns = ["address"]
        self._first_line = 1 if self._rest else 2
        self._file, self._separator = file, separator

    def lines(self) -> Iterator[Line]:
        """The lines that have something in them. Raises UnreadableFile for what is no CSV."""
        reader = csv.reader(chain(self._rest, self._file), delimiter=self._separator)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    pairs = zip(self.columns, (cell.strip() for cell in cells), strict=False)
                    yield Line(reader.line_num + self._first_line - 1, dict(pairs))
        except csv.Error as error:
            raise UnreadableFile(f"line {reader.line_num + self._first_line - 1}: {error}") from None
        except UnicodeDecodeError as error:
            raise UnreadableFile(f"it is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def format_of(table: Table, name: str = "") -> Format:
    """Return whose list it is. Raises UnreadableFile."""
    found = recognised(table.columns, name)
    if found is None:
        whose = f" of {name}" if name else ""
        raise UnreadableFile(f"no list{whose} has these columns: {', '.join(table.columns)[:300]}")
    return found


def suppressions(
    table: Table, format_: Format, usual: Reason | None, now: datetime
) -> Iterator[SuppressionRow | Fault | Skipped]:
    """Read each line. `usual`: the reason where neither line nor format says one."""
    seen: set[str] = set()
    for line in table.lines():
        row = _row(line, format_, usual, now)
        if isinstance(row, SuppressionRow):
            if row.address in seen:
                row = Skipped(line.number, f"{row.address} was in an earlier line")
            else:
                seen.add(row.address)
        yield row


def instant(text: str) -> datetime:
    """Read an instant as lists write it: ISO 8601, RFC 5322, Unix seconds or milliseconds; without a zone it is UTC.

    Raises ValueError.

    >>> instant("1443651125").isoformat(), instant("Fri, 21 Oct 2011 11:02:55 GMT").isoformat()
    ('2015-09-30T22:12:05+00:00', '2011-10-21T11:02:55+00:00')
    """
    if text.isascii() and text.isdigit():
        number = int(text)
        return datetime.fromtimestamp(number / 1000 if number > 10**11 else number, UTC)
    for read in (datetime.fromisoformat, parsedate_to_datetime, _of_shape):
        try:
            found = read(text.removesuffix(" UTC").strip())
        except ValueError:
            continue
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    raise ValueError(f"{text!r} is no instant; write it like 2027-01-31T00:00:00Z")


def _of_shape(text: str) -> datetime:
    for shape in _SHAPES:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(text)


def _row(line: Line, format_: Format, usual: Reason | None, now: datetime) -> SuppressionRow | Fault | Skipped:
    cells = line.cells
    try:
        address = checked_address(cells.get(format_.address, ""))
        created = instant(text) if (text := cells.get(format_.created, "")) else None
        ends = instant(text) if (text := cells.get(format_.ends, "")) else None
    except Invalid as error:
        return Fault(line.number, error.detail)
    except (ValueError, OverflowError, OSError) as error:
        return Fault(line.number, str(error)[:200])
    said = cells.get(format_.reason, "") if format_.reason else ""
    found = meaning(format_, said) if said else (format_.usual or usual or Reason.BY_HAND).value
    if found is None:
        return Fault(line.number, f"{format_.reason} = {said[:60]!r} is no reason that {format_.name} lists have")
    if found == SKIPPED:
        return Skipped(line.number, f"{address}: {said} is no reason for good")
    if ends is not None and ends <= now:
        return Skipped(line.number, f"{address}: over since {ends:%F}")
    told = " ".join(cell for name in format_.evidence if (cell := cells.get(name, "")))
    evidence = told if format_.name == "mailweir" else f"{format_.name}: {told}" if told else format_.name
    return SuppressionRow(
        address=address,
        reason=Reason(usual) if usual and format_.usual and not said else Reason(found),
        evidence=evidence[:_EVIDENCE_LENGTH],
        created_at=created,
        ends_at=ends,
    )
