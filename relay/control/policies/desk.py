"""Commands on the policy: shown to everybody who may look, changed by operators of the whole node.

A new version is committed with its audit row first and judges from the next message on.
"""

import asyncio
from collections.abc import Callable

from relay.control.access import require, require_whole_tree
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.policies.book import Origin, PolicyBook, PolicyVersion
from relay.control.policies.views import PolicyDone, PolicyKey, PolicyOrder, PolicyView, RollbackOrder, VersionView
from relay.policy import file
from relay.policy.verdict.steps import version_of
from relay.settings import Policy
from relay.tree import Principal, Role

_NOTE_LENGTH = 500
_TEXT_LENGTH = 65_536
_SHORTEST = 4  # digits by which a version may be named


class PolicyDesk:
    """One change at a time. `take_up` has the running relay judge by a policy."""

    def __init__(self, book: PolicyBook, take_up: Callable[[Policy], None]) -> None:
        self._book, self._take_up = book, take_up
        self._changing = asyncio.Lock()

    def list(self, principal: Principal) -> list[VersionView]:
        """All versions, youngest first."""
        require(principal, Role.VIEWER)
        return [self._view(row) for row in reversed(self._book.rows)]

    def show(self, principal: Principal, name: str = "") -> PolicyView:
        """The version in force, or the one named by its digits or number."""
        require(principal, Role.VIEWER)
        row = self._find(name)
        try:
            policy = row.policy
        except file.PolicyError as error:
            raise Conflict(str(error)) from None
        is_over_file = row is self._book.last and row.origin is Origin.APPLIED
        return PolicyView(
            version=self._view(row),
            text=row.text,
            keys=[
                PolicyKey(key=key, value=value, default=field.default, meaning=field.description or "")
                for (key, value), field in zip(policy, Policy.model_fields.values(), strict=True)
            ],
            overruled=file.overruled(self._book.of_file, policy) if is_over_file else [],
        )

    async def apply(self, principal: Principal, order: PolicyOrder) -> PolicyDone:
        """Judge by another policy from now on. Raises Invalid with key, value and fix; then nothing has changed."""
        _check(principal, order.note)
        if len(order.text) > _TEXT_LENGTH:
            raise Invalid(f"text: at most {_TEXT_LENGTH} characters")
        try:
            policy = file.read(order.text)
        except file.PolicyError as error:
            raise Invalid(f"nothing was changed. {error}") from None
        async with self._changing:
            return await self._change(principal, "policy.apply", policy, (order.text, Origin.APPLIED), order)

    async def rollback(self, principal: Principal, order: RollbackOrder) -> PolicyDone:
        """Judge by an earlier version again; one of the settings file brings that file's word back into force."""
        _check(principal, order.note)
        async with self._changing:
            row = self._find(order.version) if order.version else self._before()
            try:
                policy = row.policy
            except file.PolicyError as error:
                raise Conflict(f"nothing was changed. {error}") from None
            is_file = row.origin is Origin.FILE and row.version == version_of(self._book.of_file)
            whose = (row.text, Origin.FILE if is_file else Origin.APPLIED)
            return await self._change(principal, "policy.rollback", policy, whose, order)

    async def _change(
        self,
        principal: Principal,
        command: str,
        policy: Policy,
        whose: tuple[str, Origin],
        order: PolicyOrder | RollbackOrder,
    ) -> PolicyDone:
        before, (text, origin) = self._find(""), whose
        is_same = (before.version, before.origin) == (version_of(policy), origin)
        if not (order.dry_run or is_same):
            await self._book.append(policy, text, origin, principal, order.note, command)
            self._take_up(policy)
        return PolicyDone(
            version=version_of(policy),
            origin=origin.value,
            changes=file.differences(self._read(before), policy),
            doubts=file.doubts(policy),
            undo="" if is_same else f"mailweir policy rollback {before.version}",
            dry_run=order.dry_run,
        )

    def _find(self, name: str) -> PolicyVersion:
        rows = self._book.rows
        if not name:
            if not rows:
                raise NotFound("no policy was in force yet; the relay's first start writes one down")
            return rows[-1]
        for row in reversed(rows):
            if name == str(row.sequence) or (len(name) >= _SHORTEST and row.version.startswith(name)):
                return row
        raise NotFound(f"there is no policy version {name!r}; `mailweir policy ls` names them all")

    def _before(self) -> PolicyVersion:
        last = self._find("")
        for row in reversed(self._book.rows):
            if (row.version, row.origin) != (last.version, last.origin):
                return row
        raise Conflict("there was no other policy before this one, so there is none to go back to")

    def _read(self, row: PolicyVersion) -> Policy:
        try:
            return row.policy
        except file.PolicyError:  # of another release; the file's is what judged instead, or nothing did
            return self._book.of_file

    def _view(self, row: PolicyVersion) -> VersionView:
        return VersionView(
            version=row.version,
            sequence=row.sequence,
            origin=row.origin.value,
            author=row.author,
            applied_at=row.applied_at,
            note=row.note,
            in_force=row is self._book.last,
        )


def _check(principal: Principal, note: str) -> None:
    require(principal, Role.OPERATOR)
    require_whole_tree(principal, "change its policy")
    if len(note) > _NOTE_LENGTH:
        raise Invalid(f"note: at most {_NOTE_LENGTH} characters")
