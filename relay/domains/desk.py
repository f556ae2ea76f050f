"""Commands on customers' domains: add, list, show, rotate, check, remove. They work before the first start too."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from relay.clock import Clock
from relay.control.access import in_sight, require, sees
from relay.control.audit.chain import Act
from relay.control.checks import checked_domain, shell
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.memory import State
from relay.delivery.signing.algorithm import Algorithm
from relay.domains.checks import Inspection, Inspector
from relay.domains.keys import DkimKey, Domain, after_look, new_key, retired
from relay.domains.records import DnsRecord, Ourselves, dkim_record, records_of, zone_line
from relay.domains.views import CheckReport, DomainOrder, DomainView, Finding, KeyState, KeyView, NewDomain, RecordView
from relay.tree import Principal, Role

_WATCH = Principal("domain-watch", Role.OPERATOR)


class DomainDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(
        self,
        state: State,
        clock: Clock,
        inspector: Inspector,
        ourselves: Callable[[str], Ourselves],
        lifetime: Callable[[], timedelta],
    ) -> None:
        """`lifetime`: how long mail stays in the queue at most, and so how long a retired key's record must stay."""
        self._state, self._clock, self._inspector = state, clock, inspector
        self._ourselves, self._lifetime = ourselves, lifetime

    def list(self, principal: Principal, account: str | None = None) -> list[DomainView]:
        require(principal, Role.VIEWER)
        if account is not None:
            in_sight(self._state.accounts, principal, account)
        return [
            self._view(known.name, name, [])
            for known in self._state.accounts.values()
            if account in (None, known.name) and sees(principal, known.name, known.reseller)
            for name in known.domains
        ]

    def show(self, principal: Principal, name: str, account: str = "") -> DomainView:
        """Everything about one domain, with all records to publish."""
        require(principal, Role.VIEWER)
        owner, name = self._found(principal, name, account)
        return self._view(owner, name, self._records(owner, name))

    async def add(self, principal: Principal, new: NewDomain) -> DomainView:
        """Let an account have a domain, with keys that wait for their records. Again: only what it lacks is made."""
        require(principal, Role.ADMIN)
        account, name = in_sight(self._state.accounts, principal, new.account), checked_domain(new.domain)
        book = self._state.book
        has = {key.algorithm for key in book.keys_of(account.name, name) if key.state is not KeyState.RETIRED}
        wanted = [algorithm for algorithm in dict.fromkeys(new.algorithms) if algorithm not in has]
        made = [await self._made(account.name, name, algorithm) for algorithm in wanted]
        is_new = name not in account.domains
        domain = _with_return_path(book.domain(account.name, name), new.return_path_host)
        undo = shell("domain", "rm", name, "--account", account.name) if is_new else ""
        if new.dry_run:
            records = records_of(domain, [*book.keys_of(account.name, name), *made], self._ourselves(account.name))
            view = _view(domain, [*book.keys_of(account.name, name), *made], records, self._lifetime())
            return _finished(view, undo, dry_run=True)
        if is_new:
            await self._state.add_domain(account.name, name, principal, made)
        acts = (
            [] if is_new else [Act("domain.dkim.add", account.name, name, {"selector": key.selector}) for key in made]
        )
        if domain != book.domain(account.name, name):
            act = Act("domain.return-path", account.name, name, {"host": domain.return_path_host})
            await book.change([] if is_new else made, domain, principal, [*acts, act])
        elif acts:
            await book.change(made, None, principal, acts)
        return _finished(self._view(account.name, name, self._records(account.name, name)), undo, dry_run=False)

    async def remove(self, principal: Principal, name: str, order: DomainOrder) -> DomainView:
        """Take a domain from an account. Its keys stop to sign; they wait in case the domain comes back."""
        require(principal, Role.ADMIN)
        owner, name = self._found(principal, name, order.account)
        view = self._view(owner, name, [])
        if not order.dry_run:
            before = self._state.account(owner)
            after = replace(before, domains=tuple(known for known in before.domains if known != name))
            await self._state.change_account(after, principal, Act("domain.remove", owner, name))
        words = ["--return-path", view.return_path_host] if view.return_path_host else []
        living = dict.fromkeys(key.algorithm for key in view.keys if key.state is not KeyState.RETIRED)
        words += [word for algorithm in living for word in ("--algorithm", algorithm.value)]
        return _finished(view, shell("domain", "add", owner, name, *words), dry_run=order.dry_run)

    async def rotate(self, principal: Principal, name: str, order: DomainOrder) -> DomainView:
        """Make the next key. It signs once its record is seen; asked again before that, the same one is shown."""
        require(principal, Role.ADMIN)
        owner, name = self._found(principal, name, order.account)
        algorithm = order.algorithm or Algorithm.RSA
        keys = [key for key in self._state.book.keys_of(owner, name) if key.algorithm is algorithm]
        waiting = [key for key in keys if key.state is KeyState.PENDING]
        if not waiting:
            made = await self._made(owner, name, algorithm)
            waiting = [made]
            if not order.dry_run:
                act = Act("domain.dkim.rotate", owner, name, {"selector": made.selector, "algorithm": algorithm.value})
                await self._state.book.change([made], None, principal, [act])
        undo = shell("domain", "dkim", "rm", name, waiting[-1].selector, "--account", owner)
        shown = [key for key in keys if key.id != waiting[-1].id] + waiting[-1:]
        view = _view(self._state.book.domain(owner, name), shown, [dkim_record(waiting[-1])], self._lifetime())
        return _finished(view, undo, dry_run=order.dry_run)

    async def end_key(self, principal: Principal, name: str, order: DomainOrder) -> DomainView:
        """End a key for good: its private half is forgotten, its record must stay as long as mail it signed."""
        require(principal, Role.ADMIN)
        owner, name = self._found(principal, name, order.account)
        chosen = [key for key in self._state.book.keys_of(owner, name) if key.selector == order.selector]
        if not chosen or chosen[0].state is KeyState.RETIRED:
            raise NotFound(f"{name} has no living key {order.selector!r}; see mailweir domain show {name}")
        ended = retired(chosen[0], self._clock.now())
        if not order.dry_run:
            act = Act("domain.dkim.remove", owner, name, {"selector": order.selector})
            await self._state.book.change([ended], None, principal, [act])
        view = _view(self._state.book.domain(owner, name), [ended], [], self._lifetime())
        return _finished(view, "", dry_run=order.dry_run)

    async def check(self, principal: Principal, name: str, order: DomainOrder) -> CheckReport:
        """Look the domain up; what is proved by it is in force at once."""
        require(principal, Role.OPERATOR)
        owner, name = self._found(principal, name, order.account)
        book = self._state.book
        found = await self._inspector.inspect(
            book.domain(owner, name), book.keys_of(owner, name), self._ourselves(owner)
        )
        changed = await self._take_up(principal, owner, name, found, dry_run=order.dry_run)
        after = {key.selector: key for key in [*book.keys_of(owner, name), *changed]}
        selectors = {state: [key.selector for key in changed if key.state is state] for state in KeyState}
        return CheckReport(
            domain=name,
            account=owner,
            is_ok=not any(line.is_needed and line.finding is not Finding.OK for line in found.lines),
            lines=found.lines,
            activated=selectors[KeyState.ACTIVE],
            retired=selectors[KeyState.RETIRED],
            waiting=[key.selector for key in after.values() if key.state is KeyState.PENDING],
            keep_until=self._clock.now() + self._lifetime() if selectors[KeyState.RETIRED] else None,
            dry_run=order.dry_run,
        )

    async def look_again(self) -> None:
        """Look for all keys and return paths, one domain after the other; for the hourly watch."""
        book = self._state.book
        for account, name in book.every_domain():
            found = await self._inspector.glance(
                book.domain(account, name), book.keys_of(account, name), self._ourselves(account)
            )
            await self._take_up(_WATCH, account, name, found, dry_run=False)

    async def _take_up(
        self, principal: Principal, account: str, name: str, found: Inspection, *, dry_run: bool
    ) -> Sequence[DkimKey]:
        """Put in force what was seen; the keys may have changed while DNS was asked, so they are read again."""
        now, book = self._clock.now(), self._state.book
        changed = after_look(book.keys_of(account, name), found.sights, now)
        before = book.domain(account, name)
        after = _proved(before, found, now)
        owner = self._state.accounts.get(account)
        if dry_run or owner is None or name not in owner.domains or (not changed and after == before):
            return changed
        acts = [Act(f"domain.dkim.{key.state}", account, name, {"selector": key.selector}) for key in changed]
        acts += [Act("domain.verify", account, name)] if after != before else []
        await book.change(changed, after if after != before else None, principal, acts)
        return changed

    async def _made(self, account: str, name: str, algorithm: Algorithm) -> DkimKey:
        # off the loop: RSA takes a tenth of a second, and mail does not wait for it
        return await asyncio.to_thread(new_key, account, name, algorithm, self._clock.now())

    def _found(self, principal: Principal, name: str, account: str) -> tuple[str, str]:
        """The account that has a domain, of those in sight, and its name as it is kept."""
        name = checked_domain(name)
        if account:
            known = in_sight(self._state.accounts, principal, account)
            if name not in known.domains:
                raise NotFound(f"account {account!r} has no domain {name}; mailweir domain add {account} {name}")
            return account, name
        owners = [one for one in self._state.accounts.values() if name in one.domains]
        owners = [one for one in owners if sees(principal, one.name, one.reseller)]
        if not owners:
            raise NotFound(f"no account has the domain {name}; mailweir domain add ACCOUNT {name}")
        if len(owners) > 1:
            names = ", ".join(one.name for one in owners)
            raise Conflict(f"the accounts {names} have the domain {name}: say which one by --account")
        return owners[0].name, name

    def _records(self, account: str, name: str) -> Sequence[DnsRecord]:
        keys = [key for key in self._state.book.keys_of(account, name) if key.state is not KeyState.RETIRED]
        return records_of(self._state.book.domain(account, name), keys, self._ourselves(account))

    def _view(self, account: str, name: str, records: Sequence[DnsRecord]) -> DomainView:
        book = self._state.book
        return _view(book.domain(account, name), book.keys_of(account, name), records, self._lifetime())


def _with_return_path(domain: Domain, host: str | None) -> Domain:
    """The domain with another return-path host, which is to be verified anew. Raises Invalid."""
    if host is None or host == domain.return_path_host:
        return domain
    host = checked_domain(host) if host else ""
    if host and not host.endswith(f".{domain.name}"):
        raise Invalid(f"return path {host!r}: must lie below {domain.name}, or SPF and DMARC are not aligned")
    return replace(domain, return_path_host=host, return_path_verified_at=None)


def _proved(domain: Domain, found: Inspection, now: datetime) -> Domain:
    if found.is_proved and domain.verified_at is None:
        domain = replace(domain, verified_at=now)
    match found.return_path:
        case Finding.OK if domain.return_path_verified_at is None:
            return replace(domain, return_path_verified_at=now)
        case Finding.MISSING | Finding.WRONG:
            return replace(domain, return_path_verified_at=None)
    return domain


def _view(domain: Domain, keys: Sequence[DkimKey], records: Sequence[DnsRecord], lifetime: timedelta) -> DomainView:
    return DomainView(
        domain=domain.name,
        account=domain.account,
        verified_at=domain.verified_at,
        return_path_host=domain.return_path_host,
        return_path_verified_at=domain.return_path_verified_at,
        keys=[
            KeyView(
                selector=key.selector,
                algorithm=key.algorithm,
                state=key.state,
                created_at=key.created_at,
                seen_at=key.seen_at,
                retired_at=key.retired_at,
                keep_until=key.retired_at + lifetime if key.retired_at and key.seen_at else None,
            )
            for key in keys
        ],
        records=[
            RecordView(name=one.name, kind=one.kind, value=one.value, zone_line=zone_line(one), why=one.why)
            for one in records
        ],
    )


def _finished(view: DomainView, undo: str, *, dry_run: bool) -> DomainView:
    from msgspec.structs import replace as with_values

    return with_values(view, undo=undo, dry_run=dry_run)
