"""Commands on tenants: which header names them, who of them is paused. Each takes its Principal first; the desks below
check role and scope and audit it."""

from collections import Counter

from relay.account import Account, IdentityRule
from relay.control.access import require
from relay.control.accounts.commands import Accounts
from relay.control.accounts.views import AccountChange
from relay.control.checks import shell
from relay.control.errors import Invalid
from relay.control.state.memory import State
from relay.control.waiting.desk import QueueDesk
from relay.control.waiting.views import PauseOrder, PauseView, QueueOrder
from relay.front.identity_plan import PSEUDO_SOURCES
from relay.front.identity_rules import format_rule, parse_rule
from relay.front.witnesses import normalised
from relay.policy.decisions.decision import Standing
from relay.tenants.views import TenantDone, TenantHeaderOrder, TenantOrder, TenantsView, TenantView
from relay.tree import Principal, Role, SenderId

KIND = "tenant"
_LOOKED_AT = 10_000  # waiting recipients


class TenantDesk:
    """Tenants are end senders of kind `tenant`: limits, triggers and reputation know each by itself."""

    def __init__(self, state: State, accounts: Accounts, queue: QueueDesk) -> None:
        self._state, self._accounts, self._queue = state, accounts, queue

    async def list(self, principal: Principal, account: str) -> TenantsView:
        """Those of an account that something is to be said of."""
        self._accounts.show(principal, account)
        view = await self._queue.list(principal, QueueOrder(account=account), _LOOKED_AT)
        begin = f"{account}|{KIND}|"
        waiting = Counter(one.sender for one in view.recipients if one.sender.startswith(begin))
        pauses = {one.key: one for one in view.pauses if one.key.startswith(begin)}
        stopped = {
            row.proposal.sender
            for row in self._state.decisions(account=account, open_only=True, limit=None)
            if row.proposal.sender.startswith(begin)
        }
        keys = sorted({*waiting, *pauses, *stopped})
        return TenantsView(
            account=account,
            header=_header_of(self._state.accounts[account]),
            tenants=[self._view(key, waiting[key], pauses.get(key)) for key in keys],
            is_cut=view.is_cut,
        )

    async def set_header(self, principal: Principal, account: str, order: TenantHeaderOrder) -> TenantDone:
        """Have a header name an account's tenants, before all else that may; it leaves the message before delivery.

        The account becomes one whose server is believed what it writes. "" takes the header back, and nothing else.
        """
        self._accounts.show(principal, account)
        known = self._state.accounts[account]
        others = [format_rule(rule) for rule in known.identity_rules if rule.kind != KIND]
        rules = [_rule(order.header), *others] if order.header else others
        is_shared = known.shared_host or bool(order.header)
        change = AccountChange(identity_rules=rules, shared_host=is_shared, dry_run=order.dry_run)
        changed = await self._accounts.change(principal, account, change)
        return TenantDone(account=account, tenant="", header=order.header, undo=changed.undo, dry_run=order.dry_run)

    async def pause(self, principal: Principal, account: str, tenant: str, order: TenantOrder) -> TenantDone:
        """Let one tenant's mail lie, new mail too; the others notice nothing."""
        pause = PauseOrder(sender=self._sender(principal, account, tenant), reason=order.reason, dry_run=order.dry_run)
        await self._queue.pause(principal, pause)
        return self._done(account, tenant, order, "resume")

    async def resume(self, principal: Principal, account: str, tenant: str, order: TenantOrder) -> TenantDone:
        """End a tenant's pause; what came due meanwhile is tried now."""
        pause = PauseOrder(sender=self._sender(principal, account, tenant), dry_run=order.dry_run)
        await self._queue.resume(principal, pause)
        return self._done(account, tenant, order, "pause")

    def _sender(self, principal: Principal, account: str, tenant: str) -> str:
        require(principal, Role.OPERATOR)
        self._accounts.show(principal, account)
        value = normalised(tenant)
        if not value:
            raise Invalid(f"tenant = {tenant!r}: give the value that the tenant header has in its mail")
        if not _header_of(self._state.accounts[account]):
            raise Invalid(f"no header names tenants of {account!r}; set it with: mailweir tenant header {account}")
        return SenderId(account, KIND, value).key

    def _done(self, account: str, tenant: str, order: TenantOrder, undo: str) -> TenantDone:
        header = _header_of(self._state.accounts[account])
        back = shell("tenant", undo, account, tenant)
        return TenantDone(account=account, tenant=normalised(tenant), header=header, undo=back, dry_run=order.dry_run)

    def _view(self, key: str, waiting: int, pause: PauseView | None) -> TenantView:
        standing: Standing = self._state.state_of(key).standing
        return TenantView(
            tenant=key.split("|", 2)[2],
            sender=key,
            standing=standing.value,
            waiting=waiting,
            paused_by=pause.author if pause else "",
            reason=pause.reason if pause else "",
            since=pause.since if pause else None,
        )


def _rule(header: str) -> str:
    try:
        rule = parse_rule(f"{KIND}={header}")
    except ValueError as error:
        raise Invalid(f"header = {header!r}: {error}") from None
    if rule != IdentityRule(KIND, header) or header in PSEUDO_SOURCES:
        raise Invalid(f"header = {header!r}: give a header's name alone, such as X-Tenant")
    return format_rule(rule)


def _header_of(account: Account) -> str:
    """The header that names tenants; "" where none does."""
    is_believed = account.shared_host
    return next((rule.source for rule in account.identity_rules if rule.kind == KIND and is_believed), "")
