"""What the control API says of policies."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from relay.policy.file import Change, Value


class PolicyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the policy, and what it means."""

    key: str
    value: Value
    default: Value
    meaning: str


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    """A version: its name, its row, and whose word it is (applied, or file: [policy] of mailweir.toml)."""

    version: str
    sequence: int
    origin: str
    author: str
    applied_at: datetime
    note: str
    in_force: bool


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its text. `overruled`: what mailweir.toml says otherwise, in vain; old is the file's value."""

    version: VersionView
    text: str
    keys: list[PolicyKey]
    overruled: Sequence[Change] = ()


class PolicyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/policy: a policy as TOML, in force from now on."""

    text: str
    note: str = ""
    dry_run: bool = False


class RollbackOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/policy/rollback: the version that is in force again; "": the one before."""

    version: str = ""
    note: str = ""
    dry_run: bool = False


class PolicyDone(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force now (dry_run: would be), by what it differs from the one before, and what looks odd in it."""

    version: str
    origin: str
    changes: Sequence[Change]
    doubts: list[str] = []
    undo: str = ""
    dry_run: bool = False
