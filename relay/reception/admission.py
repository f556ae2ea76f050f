"""Which limits apply to a message, and room under them: reserved at RCPT, settled when the message is whole.

The wider level wins: reseller, account and domain refuse at once (451), and are asked at RCPT where they have limits at
all. The end sender is often known only from the content, so it is counted at DATA; it and the account's newcomers have
a band of mail that is taken and waits for room. Nothing here awaits: of parallel sessions none can slip in between.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeVar

from relay.account import Account
from relay.clock import Clock
from relay.envelope import Submission
from relay.front.identity import identify
from relay.policy.decisions.decision import State
from relay.policy.limits.claims import Ask, Claim, LimitUse, band_of, in_force, refusal
from relay.policy.limits.ledger import Ledger, Taking
from relay.policy.limits.levels import Level, LimitSet
from relay.policy.limits.unique import hashed
from relay.reply import TransientError
from relay.settings import Limits
from relay.tree import SenderId

YOUNG_SECONDS = 86_400.0  # an account, or a sender, is new for a day (spec 2.3)

_NONE = LimitSet()
_OWN = (Level.SENDER, Level.SENDERS)  # what an abuser used stays used when content is refused, or it costs nothing
_MAX_CACHED = 10_000
_NAMES = tuple(field.name for field in fields(LimitSet))
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Gate:
    """All limits of one relay."""

    def __init__(
        self,
        *,
        settings: Limits,
        clock: Clock,
        ledger: Ledger,
        sets: Mapping[tuple[Level, str], LimitSet],
        state_of: Callable[[str], State],
        is_newcomer: Callable[[str, float], bool],
        age_of: Callable[[str, float], float],
        key: bytes,
    ) -> None:
        """`sets` is read as it is at each message; `key` is for the hashes of recipients. `age_of`: in seconds."""
        self.ledger, self.clock = ledger, clock
        self._settings, self._sets, self._state_of = settings, sets, state_of
        self._is_newcomer, self._age_of, self._key = is_newcomer, age_of, key
        self._usual: dict[tuple[int | None, bool], LimitSet] = {}
        self._newcomers: dict[tuple[str, int], Claim] = {}

    def take_up(self, settings: Limits) -> None:
        """Hold to other limits from the next message on; what is used and booked stays."""
        self._settings = settings
        self._usual.clear()
        self._newcomers.clear()

    def admit(self, submission: Submission) -> "Admission":
        """Open a transaction; `submission` has its envelope sender, recipients and content need not be there yet."""
        return Admission(self, submission)

    def is_limited(self) -> bool:
        """Tell whether anything can be refused before the content is there."""
        return bool(self._sets) or self.ledger.is_crowded(self.clock.unix())

    def settle(self, submission: Submission, sender: SenderId, now_unix: float) -> Taking:
        """Take room for a whole message at all levels, or at none; a reservation of its transaction ends with it."""
        if submission.admission is not None:
            submission.admission.close()  # what it held is free for the lines below, and for nobody else
        claims = (*self.parents(submission.account, submission.mail_from), *self.own(submission.account, sender.key))
        recipients = submission.recipients
        return self.ledger.take(claims, Ask(len(recipients), self.hashes(claims, recipients)), now_unix)

    def give_back(self, taking: Taking, *, is_abuse: bool) -> None:
        """Return what a refused message took. `is_abuse`: the sender's own share stays used, others must not pay."""
        self.ledger.give_back(taking, but=_OWN if is_abuse and taking.use.due_unix is None else ())

    def parents(self, account: Account, mail_from: str) -> tuple[Claim, ...]:
        """The claims of reseller, account and envelope domain; () where none of them is limited."""
        if not self._sets:
            return ()
        name, domain = account.name, mail_from.rpartition("@")[2].lower()
        found = (
            _claim(Level.RESELLER, account.reseller, "reseller", self._set(Level.RESELLER, account.reseller)),
            _claim(Level.ACCOUNT, name, "account", self._set(Level.ACCOUNT, name)),
            _claim(Level.DOMAIN, f"{name}|{domain}", "domain", self._of_domain(name, domain)) if domain else None,
        )
        return tuple(claim for claim in found if claim)

    def own(self, account: Account, sender: str) -> tuple[Claim, ...]:
        """The claims of the end sender, its own last, and of the account's newcomers while it is one."""
        now_unix = self.clock.unix()
        is_new = self._is_newcomer(sender, now_unix)
        base, multiplier = self.base(account, sender, is_new=is_new), self._state_of(sender).multiplier
        limits = base
        if multiplier != 1:
            limits = in_force(base, multiplier, self._age_of(sender, now_unix) if multiplier > 1 else 0.0)
        claim = Claim(Level.SENDER, sender, f"sender {sender}", limits, base, multiplier, band_of(limits))
        if not is_new or (self._sets and (Level.SENDER, sender) in self._sets):
            return (claim,)
        newcomers = self._newcomers_of(account, now_unix)
        return (newcomers, claim) if newcomers else (claim,)

    def hourly(self, account: Account, sender: str) -> int:
        """How many recipients of an hour a sender may have now, the newcomers' share included; 0: no limit."""
        limits = [claim.limits.rcpts_per_hour for claim in self.own(account, sender)]
        return min((limit for limit in limits if limit), default=0)

    def base(self, account: Account, sender: str, *, is_new: bool) -> LimitSet:
        """The sender's limits before the multiplier: its own, else its account's, else the relay's."""
        kind = (self._set(Level.SENDERS, account.name).rcpts_per_hour, is_new)
        usual = self._usual.get(kind)
        if usual is None:
            usual = _cached(self._usual, kind, _usual(self._settings, kind[0], is_new=is_new))
        if not self._sets:
            return usual
        every = _narrowed(self._set(Level.SENDERS, account.name), usual)
        return _narrowed(self._set(Level.SENDER, sender), every)

    def most(self, account: Account, parents: tuple[Claim, ...]) -> LimitUse | None:
        """The smallest limit of recipients per message that is known before the content; smtp.max_recipients apart."""
        if not self._sets:
            return None
        found = {claim.whose: claim.limits.rcpts_per_message for claim in parents}
        found[f"each sender of account {account.name}"] = self._set(Level.SENDERS, account.name).rcpts_per_message
        most, whose = min(((limit, whose) for whose, limit in found.items() if limit), default=(0, ""))
        return LimitUse(most, most, False, 0.0, most + 1, "rcpts_per_message", whose) if most else None

    def hashes(self, claims: tuple[Claim, ...], recipients: tuple[str, ...]) -> list[bytes]:
        """The recipients hashed, where a claim counts unique ones."""
        if any(claim.limits.unique_rcpts_per_hour for claim in claims):
            return hashed(recipients, self._key)
        return []

    def _newcomers_of(self, account: Account, now_unix: float) -> Claim | None:
        hourly = self._set(Level.SENDERS, account.name).rcpts_per_hour
        limit = self._settings.newcomer_rcpts_per_hour * _scale(self._settings, hourly)
        created_at = account.created_at
        if created_at is None or now_unix - created_at.timestamp() < YOUNG_SECONDS:
            limit *= self._settings.onboarding_factor
        key = (account.name, round(limit))
        claim = self._newcomers.get(key)
        if claim is None and limit:
            limits = LimitSet(rcpts_per_hour=max(1, round(limit)))
            row, whose = f"{account.name}|newcomers|", f"new senders of account {account.name}"
            claim = Claim(Level.SENDERS, row, whose, limits, limits, band=band_of(limits), is_shared=True)
            _cached(self._newcomers, key, claim)
        return claim

    def _of_domain(self, account: str, domain: str) -> LimitSet:
        every = self._set(Level.DOMAINS, account)
        return _narrowed(self._set(Level.DOMAIN, f"{account}|{domain}"), every)

    def _set(self, level: Level, key: str) -> LimitSet:
        return self._sets.get((level, key), _NONE)


class Admission:
    """One transaction's reservation, from its first recipient to its settlement or its end."""

    __slots__ = ("_count", "_gate", "_hashes", "_most", "_own", "_parents", "_submission", "_takings")

    def __init__(self, gate: Gate, submission: Submission) -> None:
        self._gate, self._submission = gate, submission
        self._parents = gate.parents(submission.account, submission.mail_from)
        self._most = gate.most(submission.account, self._parents)
        self._own: tuple[Claim, ...] | None = None
        self._count = 0
        self._hashes: list[bytes] = []
        self._takings: list[Taking] = []

    def add(self, recipient: str) -> None:
        """Reserve room for one more recipient. Raises TransientError with the reply; nothing is reserved then."""
        if self._most is not None and self._count >= self._most.limit:
            raise TransientError(refusal(self._most))
        if self._parents:
            self._reserve(recipient)
        now_unix = self._gate.clock.unix()
        if self._gate.ledger.is_crowded(now_unix):
            self._look(now_unix)
        self._count += 1

    def close(self) -> None:
        """Give back what is reserved; for the end of the transaction, however it came. May be called again."""
        for taking in self._takings:
            self._gate.ledger.give_back(taking)
        self._takings.clear()

    def _reserve(self, recipient: str) -> None:
        hashes = self._gate.hashes(self._parents, (recipient,))
        ask = Ask(1, [*self._hashes, *hashes] if hashes else (), is_final=False)
        taking = self._gate.ledger.take(self._parents, ask, self._gate.clock.unix())
        if not taking.use.is_allowed:
            raise TransientError(refusal(taking.use))
        self._hashes += hashes
        self._takings.append(taking)

    def _look(self, now_unix: float) -> None:
        """Refuse a sender that is known before its content and beyond its band, before it sends that content."""
        if self._own is None:
            is_known = not self._submission.account.shared_host or bool(self._submission.end_sender)
            sender = identify(self._submission, b"").sender.key if is_known else ""
            self._own = self._gate.own(self._submission.account, sender) if is_known else ()
        refused = self._gate.ledger.look(self._own, Ask(self._count + 1, is_final=False), now_unix)
        if refused is not None and refused.asked <= refused.limit:
            raise TransientError(refusal(refused))


def _claim(level: Level, key: str, word: str, limits: LimitSet) -> Claim | None:
    """The claim of a wider level, None where nothing limits it."""
    return None if limits is _NONE else Claim(level, f"{level}={key}", f"{word} {key}", limits, limits)


def _usual(settings: Limits, own_hourly: int | None, *, is_new: bool) -> LimitSet:
    """What the relay grants an end sender of an account; `own_hourly`: the account's own limit of the hour."""
    unique, scale = settings.unique_rcpts_per_hour, _scale(settings, own_hourly)
    if is_new and settings.new_unique_rcpts_per_hour:
        unique = min(unique or settings.new_unique_rcpts_per_hour, settings.new_unique_rcpts_per_hour)
    return LimitSet(
        rcpts_per_hour=settings.rcpts_per_hour if own_hourly is None else own_hourly,
        rcpts_per_day=round(settings.rcpts_per_day * scale),
        unique_rcpts_per_hour=round(unique * scale),
        messages_per_hour=round(settings.messages_per_hour * scale),
    )


def _scale(settings: Limits, own_hourly: int | None) -> float:
    """An account that may send more in the hour may send as many times more in the day; one that may less, as usual."""
    return max(1.0, (own_hourly or 0) / settings.rcpts_per_hour) if settings.rcpts_per_hour else 1.0


def _narrowed(own: LimitSet, wider: LimitSet) -> LimitSet:
    """`own`, and what the wider level says where it says nothing."""
    if own is _NONE:
        return wider
    return LimitSet(*(getattr(wider, name) if (value := getattr(own, name)) is None else value for name in _NAMES))


def _cached(cache: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(cache) >= _MAX_CACHED:
        cache.clear()
    cache[key] = value
    return value
