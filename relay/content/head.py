"""A message's header block as bytes: fields in order, raw. Bounded, never raises; loads no library."""

import re
from dataclasses import dataclass

from relay.content.window import Content

_MAX_HEAD = 256 * 1024
_MAX_FIELDS = 1000
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
# The form of nearly all mail, at a third of the price of looking at each line; whatever else comes is looked at below
# (anchored to line starts: else a run of 20,000 characters without a colon costs a search from each of them, 0.8 s).
_SOUND_FIELDS = re.compile(rb"(?m)^([!-9;-~]+):([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n").findall
_NAME = re.compile(rb"[!-9;-~]+")


@dataclass(frozen=True, slots=True)
class Head:
    """A header block: fields in order, names in lower case, values raw with their folding, without the final CRLF.

    `body_at` is where the body begins. `is_sound` is False when a line is no field, or has space before its colon:
    readers differ on such mail.
    """

    fields: list[tuple[bytes, bytes]]
    body_at: int
    is_sound: bool

    def first(self, name: bytes) -> bytes | None:
        for key, value in self.fields:
            if key == name:
                return value
        return None


def split_head(content: Content, start: int = 0, end: int | None = None) -> Head:
    """Split the header block that begins at `start`."""
    end = len(content) if end is None else end
    if content.startswith(b"\r\n", start):
        return Head([], min(start + 2, end), True)
    stop = content.find(b"\r\n\r\n", start, end)
    body_at = end if stop < 0 else stop + 4
    stop = end if stop < 0 else stop
    if 0 <= stop - start <= _MAX_HEAD and body_at == stop + 4:
        block = content[start : stop + 2]
        found = _SOUND_FIELDS(block)
        # matches do not overlap: together as long as the block, they are all of it
        if len(found) < _MAX_FIELDS and sum(len(name) + len(value) for name, value in found) + 3 * len(found) == len(
            block
        ):
            return Head([(name.lower(), value) for name, value in found], body_at, True)
    fields, is_sound = [], stop - start <= _MAX_HEAD
    for line in _FIELD_END.split(content[start : min(stop, start + _MAX_HEAD)])[:_MAX_FIELDS]:
        name, colon, value = line.partition(b":")
        bare = name.rstrip(b" \t")
        is_field = bool(colon) and _NAME.fullmatch(bare) is not None
        if is_field:
            fields.append((bare.lower(), value))
        is_sound = is_sound and (not line or (is_field and len(bare) == len(name)))
    return Head(fields, body_at, is_sound and len(fields) < _MAX_FIELDS)
