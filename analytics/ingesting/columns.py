"""The journal's records as columns, derived from relay/events so that there is no second truth.

A field added there appears here by itself; for the warehouse to keep it, a migration must add its column
(tests/analytics/test_columns.py says which are missing).
"""

import types
import typing
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from relay import events

_SIMPLE = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN", datetime: "TIMESTAMPTZ"}


def sql_type(annotation: Any) -> str:
    """The column type of a field.

    >>> sql_type(list[str]), sql_type(float | None)
    ('VARCHAR[]', 'DOUBLE')
    """
    if isinstance(annotation, types.UnionType):
        (annotation,) = (part for part in typing.get_args(annotation) if part is not types.NoneType)
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "VARCHAR"
    if annotation is events.Features:
        return _struct(events.Features)
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        if item is events.Rcpt:
            return _struct(events.Rcpt) + "[]"
        if item in _SIMPLE:
            return _SIMPLE[item] + "[]"
    return "JSON"  # the trace's steps, the evidence of a decision


def _struct(record: type[msgspec.Struct]) -> str:
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in columns_of(record).items())})"


def columns_of(record: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> column type of one struct."""
    return {field.encode_name: sql_type(field.type) for field in msgspec.structs.fields(record)}


# The verdict's inputs are read from the journal's archive alone, which is kept as long: a replay needs them, and no
# question does.
UNKEPT = frozenset({"inputs"})

RECORDS: tuple[type[events.Record], ...] = typing.get_args(events.AnyRecord)
KINDS = tuple(str(record.__struct_config__.tag) for record in RECORDS)
FEATURES = columns_of(events.Features)

# What read_json is told: every field of every record; a field's type is the same in all of them.
JOURNAL_COLUMNS = {"kind": "VARCHAR"} | {
    name: kind for record in RECORDS for name, kind in columns_of(record).items() if name not in UNKEPT
}
