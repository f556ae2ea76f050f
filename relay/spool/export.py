"""Messages as files: MESSAGE.eml as it would be delivered, MESSAGE.json with its envelope."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from relay.spool.entry import CorruptEntry, SpooledMessage
from relay.spool.inspection import Inspection, SpoolUnreadable


@dataclass(slots=True)
class Exported:
    """What was written, and what could not be written whole (it ends in .damaged)."""

    written: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def export_one(inspection: Inspection, message_id: str, folder: Path) -> Exported:
    """Write one message. Raises SpoolUnreadable when there is none, OSError when a file is in the way."""
    found, done = inspection.message(message_id), Exported()
    if found is None:
        raise SpoolUnreadable(f"the spool has no message {message_id!r}; `mailweir spool ls` lists them")
    _export(inspection, *found, folder, done)
    return done


def export_all(inspection: Inspection, folder: Path, advance: Callable[[], None]) -> Exported:
    """Write every message; `advance` is called after each."""
    done = Exported()
    for message, state in inspection.messages():
        if isinstance(message, CorruptEntry):
            done.damaged.append(str(message))
        elif inspection.is_readable(message) is not None:  # else it was delivered meanwhile
            _export(inspection, message, state, folder, done)
        advance()
    return done


def _export(inspection: Inspection, message: SpooledMessage, state: str, folder: Path, done: Exported) -> None:
    path = folder / f"{message.message_id}.eml"
    envelope = msgspec.json.format(msgspec.json.encode(inspection.envelope(message, state)), indent=2)
    try:
        with _private(path) as file:
            file.write(message.prefix)
            for piece in inspection.content(message):
                file.write(piece)
        done.written.append(path.name)
    except CorruptEntry as error:
        path.rename(path.with_name(path.name + ".damaged"))
        done.damaged.append(str(error))
    with _private(path.with_suffix(".json")) as file:
        file.write(envelope + b"\n")


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read: it holds other people's mail."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
