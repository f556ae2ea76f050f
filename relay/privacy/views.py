"""What the APIs say of a person's traces."""

from typing import Literal

import msgspec


class ForgetOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/forget. `suppression`: take him off the suppression list too; then he may get mail again."""

    address: str
    suppression: bool = False
    dry_run: bool = False


class Trace(msgspec.Struct, frozen=True):
    """What was found where, and what became of it; `why` it was kept, and how it goes."""

    store: str
    what: str
    count: int
    fate: Literal["replaced", "deleted", "kept"]
    why: str = ""


class Forgot(msgspec.Struct, frozen=True, kw_only=True):
    """`token` stands where the address stood; analytics puts the same in its place."""

    token: str
    traces: list[Trace]
    dry_run: bool = False
