"""Reads the operator's MMDB files; the only module that does.

A file that is missing or damaged is an error in the log and in `mailweir doctor`, and its addresses are nowhere: mail
never waits for it. Files are read into memory whole: of one that is mapped, a copy written over it in place would end
the process (SIGBUS).
"""

import logging
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb

from relay.places.place import NOWHERE, Place, PlaceOf, nowhere
from relay.settings import SettingsError

_log = logging.getLogger("mailweir.places")

_KEY = "places.files"
_KNOWN = 20_000  # addresses whose place is remembered; looking one up costs some 20 us
_TRIED = 300  # records of a file that are read before it is believed
_OPERATOR_CHARACTERS = 60
# what the reader raises on a file that is damaged where its header is not
_DAMAGE = (maxminddb.InvalidDatabaseError, ValueError, LookupError, TypeError, RecursionError, struct.error)
_number = re.compile(r"(?:AS)?(\d{1,10})").fullmatch
_country = re.compile(r"[A-Z]{2}").fullmatch


class Database:
    """One file, open. `built_at`: when its maker made it."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError with key, value and fix."""
        try:
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
            self.built_at = datetime.fromtimestamp(self._reader.metadata().build_epoch, UTC)
            is_useful = any(_place_of(record) != NOWHERE for record in _first_records(self._reader))
        except OSError as error:
            raise SettingsError(
                f"{_KEY} = {path}: {error.strerror}. Check the path, and who may read it, or take it out"
            ) from None
        except (*_DAMAGE, OverflowError) as error:
            raise SettingsError(f"{_KEY} = {path}: no MMDB file, or a damaged one ({error}). Fetch it again") from None
        if not is_useful:
            raise SettingsError(
                f"{_KEY} = {path}: it names neither countries nor autonomous systems. Give a country, city or ASN file"
            )
        self.path = path

    def of(self, client_ip: str) -> Place:
        """What the file knows. Raises what a damaged file makes its reader raise."""
        return _place_of(self._reader.get(client_ip))


class Places:
    """Answers from all files together: of each thing, what the first file that knows it says."""

    def __init__(self, paths: Sequence[Path], use: Callable[[PlaceOf], None]) -> None:
        """`use` gets whom to ask, now and whenever a file is another one."""
        self._use = use
        self.take_up(paths)

    def take_up(self, paths: Sequence[Path]) -> None:
        """Read these files from now on. One that cannot be used is told in the log and left out until it changes."""
        self._paths = tuple(paths)
        self._seen = self._stamps()
        found = []
        for path in self._paths:
            try:
                found.append(Database(path))
            except SettingsError as error:
                _log.error("%s; logins' places are told without it", error)
            else:
                _log.info("places taken up path=%s built_at=%s", path, found[-1].built_at.isoformat())
        self._use(_asking(found) if found else nowhere)

    def has_changed(self) -> bool:
        """Tell whether some file is another one than when it was read; costs a stat() of each."""
        return bool(self._paths) and self._stamps() != self._seen

    def refresh(self) -> None:
        """Read the same files anew."""
        self.take_up(self._paths)

    def _stamps(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in self._paths)


def checked(paths: Sequence[Path]) -> list[Database]:
    """Open files to see whether they are sound. Raises SettingsError."""
    return [Database(path) for path in paths]


def _asking(databases: Sequence[Database]) -> PlaceOf:
    damaged: set[Path] = set()

    def ask(database: Database, client_ip: str) -> Place:
        try:
            return database.of(client_ip)
        except _DAMAGE as error:
            if database.path not in damaged and _is_address(client_ip):
                damaged.add(database.path)
                _log.error("%s = %s: damaged, found at %s: %r", _KEY, database.path, client_ip, error)
            return NOWHERE

    @lru_cache(maxsize=_KNOWN)
    def of(client_ip: str) -> Place:
        found = [ask(database, client_ip) for database in databases]
        asn, operator = next(((one.asn, one.operator) for one in found if one.asn), (0, ""))
        return Place(next((one.country for one in found if one.country), ""), asn, operator)

    return of


def _place_of(record: Any) -> Place:
    """Read a record as the makers of such files write them: GeoLite2 and DB-IP, or flat (IPinfo and others)."""
    if not isinstance(record, Mapping):
        return NOWHERE
    country = record.get("country") or record.get("country_code") or record.get("registered_country") or ""
    if isinstance(country, Mapping):
        country = country.get("iso_code", "")
    number = _number(str(record.get("autonomous_system_number") or record.get("asn") or ""))
    operator = record.get("autonomous_system_organization") or record.get("as_name") or record.get("as_org") or ""
    asn = int(number[1]) if number else 0
    return Place(
        str(country) if _country(str(country)) else "",
        asn,
        "".join(filter(str.isprintable, str(operator)))[:_OPERATOR_CHARACTERS] if asn else "",
    )


def _first_records(reader: Any) -> Iterator[Any]:
    return (record for _, record in islice(reader, _TRIED))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
