"""Mailbox providers in small: sinks whose edge counts, per address of ours, what a real one counts, on a given clock.

Each judges by what rules/providers.toml says of it, as what we have promised; and by a standing that nobody publishes:
how much an address may send in an hour and a day, three times what it has shown on its best day.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from relay.clock import Clock
from relay.delivery.shaping.providers import Provider
from tests.referee import Referee, Visit
from tests.sink import Manner

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
_GRACE_SECONDS = 5.0  # what was on its way when a refusal was said
_MESSAGE_ID = re.compile(rb"^Message-ID: <(\d+)@", re.MULTILINE)
_GROWTH = 3.0  # the steepest step of the plan is 2.5
_UNEVEN = 3.0  # x an even hour; the plan keeps to 1.5


@dataclass(frozen=True, slots=True)
class Incident:
    """A provider refuses one address for a while, in words of its own; `{ip}` in them is the address.

    stop_seconds: how long that asks us to send nothing from there.
    """

    provider: str
    address: str
    begins_unix: float
    ends_unix: float
    reply: str
    stop_seconds: float


@dataclass(slots=True)
class Book:
    """What all receivers have seen. `faults`: each promise we did not keep, in words."""

    mails: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    taken: Counter[tuple[int, str]] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    most_open: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Standing:
    """What one address may do at one provider."""

    best: float
    day: int = -1
    today: int = 0
    is_clean: bool = True
    lately: deque[float] = field(default_factory=deque)

    def has_room(self, now: float) -> bool:
        """Count one more mail, and tell whether it is within what the address has shown so far."""
        if int(now // DAY) > self.day:
            if self.is_clean:
                self.best = max(self.best, self.today)
            self.day, self.today, self.is_clean = int(now // DAY), 0, True
        while self.lately and self.lately[0] <= now - HOUR:
            self.lately.popleft()
        self.lately.append(now)
        self.today += 1
        limit = _GROWTH * self.best
        return self.today <= limit and len(self.lately) <= max(5.0, _UNEVEN * limit / 24)


class Gate(Referee):
    """The edge of one provider; counts by the address of the peer and writes into the book of all."""

    def __init__(self, persona: "Persona", provider: Provider, clock: Clock, book: Book) -> None:
        self._name, self._over, self._greylist_seconds = persona.name, persona.over, persona.greylist_seconds
        self._provider, self._clock, self._book = provider, clock, book
        self._incidents: list[Incident] = []
        self._standing: dict[str, _Standing] = {}
        self._first_day = 0.0
        self._open: Counter[str] = Counter()
        self._minute: dict[str, deque[float]] = defaultdict(deque)
        self._stopped: dict[str, tuple[float, float]] = {}
        self._greylisted: dict[tuple[str, str, str], float] = {}

    def expect(self, shown: dict[str, float], others: float, incidents: Iterable[Incident]) -> None:
        """shown: the best day so far of known addresses, `others` that of all the rest."""
        self._incidents = [one for one in incidents if one.provider == self._name]
        self._standing = {address: _Standing(best) for address, best in shown.items()}
        self._first_day = others

    def came(self, visit: Visit) -> bytes:
        self._open[visit.peer] += 1
        mine, all_open = self._open[visit.peer], self._open.total()
        self._book.most_open[self._name] = max(self._book.most_open[self._name], mine)
        if mine > self._provider.connections:
            self._fault(f"{mine} connections from {visit.peer}")
        if self._provider.connections_total and all_open > self._provider.connections_total:
            self._fault(f"{all_open} connections in total")
        return b""

    def left(self, visit: Visit) -> None:
        self._open[visit.peer] -= 1

    def mail(self, visit: Visit, mail_from: str) -> bytes:
        now = self._clock.unix()
        self._book.mails[visit.peer, self._name].append(now)
        self._check_promises(visit, now)
        reply = self._refusal(visit.peer, now)
        if reply:
            self._book.refused[int(now // DAY), visit.peer, self._name] += 1
            self._book.told[f"{self._name}: {reply[:50].decode()}"] += 1
        return reply

    def rcpt(self, visit: Visit, mail_from: str, address: str) -> bytes:
        if not self._greylist_seconds:
            return b""
        now, triplet = self._clock.unix(), (visit.peer.rpartition(".")[0], mail_from, address)
        opens_at = self._greylisted.setdefault(triplet, now + self._greylist_seconds)
        if now >= opens_at:
            return b""
        return f"450 4.2.0 <{address}>: Recipient address rejected: Greylisted, try again later\r\n".encode()

    def took(self, visit: Visit, content: bytes, recipients: tuple[str, ...]) -> None:
        found = _MESSAGE_ID.search(content)
        assert found is not None
        self._book.taken.update((int(found[1]), address) for address in recipients)

    def _check_promises(self, visit: Visit, now: float) -> None:
        provider = self._provider
        if visit.mails > provider.messages_per_connection:
            self._fault(f"{visit.mails} mails in a connection of {visit.peer}")
        if provider.tls == "required" and not visit.is_tls:
            self._fault(f"no TLS from {visit.peer}")
        told_at, until = self._stopped.get(visit.peer, (0.0, 0.0))
        if told_at + _GRACE_SECONDS < now < until:
            self._fault(f"{visit.peer} came back {now - told_at:.0f} s after it was told to stop")
        if provider.messages_per_minute:
            lately = self._minute[visit.peer]
            lately.append(now)
            while lately[0] <= now - MINUTE:
                lately.popleft()
            if len(lately) > provider.messages_per_minute:
                self._fault(f"{len(lately)} mails in a minute from {visit.peer}")

    def _refusal(self, peer: str, now: float) -> bytes:
        for incident in self._incidents:
            if incident.address == peer and incident.begins_unix <= now < incident.ends_unix:
                return self._refused(peer, incident.reply, incident.stop_seconds, now)
        if not self._over:
            return b""
        standing = self._standing.get(peer) or self._standing.setdefault(peer, _Standing(self._first_day))
        if standing.has_room(now):
            return b""
        self._book.told[f"{self._name}: too much from {peer}"] += 1
        return self._refused(peer, *self._over, now)

    def _refused(self, peer: str, reply: str, stop_seconds: float, now: float) -> bytes:
        if self._stopped.get(peer, (0.0, 0.0))[1] <= now:
            self._stopped[peer] = (now, now + stop_seconds)
        if standing := self._standing.get(peer):
            standing.is_clean = False
        return f"{reply.format(ip=peer)}\r\n".encode()

    def _fault(self, what: str) -> None:
        self._book.faults[f"{self._name}: {what}"] += 1


@dataclass(frozen=True, slots=True)
class Persona:
    """One receiver: its domains with their parts of all mail, and its hosts' names. `name`: that of providers.toml, or
    one of ours. `over`: what it says to an address that sends more than it has shown, and how long we are to stop."""

    name: str
    domains: dict[str, float]
    exchanges: Sequence[str] = ()
    over: tuple[str, float] | None = None
    manner: Manner = field(default_factory=Manner)
    has_tls: bool = False
    greylist_seconds: float = 0.0
    local: str = "user"
    is_down: bool = False

    def zone(self, address: str) -> str:
        """Its DNS records; `address` is that of its host."""
        lines = []
        for domain in self.domains:
            names = [name.replace("DOMAIN", domain.replace(".", "-")) for name in self.exchanges or (f"mx.{domain}",)]
            lines += [f"{domain}. 86400 IN MX {10 * (n + 1)} {name}." for n, name in enumerate(names)]
            lines += [f"{name}. 86400 IN A {address}" for name in names]
        return "\n".join(dict.fromkeys(lines))


GOOGLE_RATE = (
    "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address [{ip}]. To "
    "protect our users from spam, mail sent from your IP address has been temporarily rate limited. gsmtp"
)
YAHOO_TSS04 = (
    "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - "
    "4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
)
OUTLOOK_BLOCK = (
    "550 5.7.1 Unfortunately, messages from [{ip}] weren't sent. Please contact your Internet service provider since "
    "part of their network is on our block list (S3150)."
)
OUTLOOK_RATE = (
    "451 4.7.650 The mail server [{ip}] has been temporarily rate limited due to IP reputation. For e-mail delivery "
    "information, see https://postmaster.live.com (S3113)"
)


def personas() -> list[Persona]:
    """All of them, made anew."""
    return [
        Persona(
            "google",
            {"gmail.example": 0.28, "studio.example": 0.04, "atelier.example": 0.04, "praxis.example": 0.04},
            ("aspmx.l.google.com", "alt1.aspmx.l.google.com"),
            over=(GOOGLE_RATE, 600.0),
            has_tls=True,
        ),
        Persona(
            "office365",
            {"kontor.example": 0.06, "bau.example": 0.06, "nova.example": 0.05},
            ("DOMAIN.mail.protection.outlook.com",),
            over=("451 4.7.500 Server busy. Please try again later from [{ip}]. (AS761)", 60.0),
        ),
        Persona(
            "outlook",
            {"hotmail.example": 0.06, "outlook.example": 0.05},
            ("DOMAIN.olc.protection.outlook.com",),
            over=(OUTLOOK_RATE, 0.0),  # at its third refusal in an hour we stop, not before
        ),
        Persona(
            "yahoo",
            {"yahoo.example": 0.07, "aol.example": 0.03},
            ("mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"),
            over=(YAHOO_TSS04, 7_200.0),
        ),
        Persona("gmx", {"gmx.example": 0.05}, ("mx00.gmx.net", "mx01.gmx.net"), has_tls=True),
        Persona("exim", {f"firm{number}.example": 0.014 for number in range(8)}),
        Persona("grey", {"clubs.example": 0.015, "school.example": 0.015}, greylist_seconds=300.0),
        Persona("full", {"attic.example": 0.004}, local="reject-452-4.2.2"),
        Persona("tarpit", {"slow.example": 0.008}, manner=Manner(delay_seconds=7.0)),
        Persona("broken-tls", {"rusty.example": 0.015}, manner=Manner(breaks_tls=True)),
        Persona("dropper", {"shaky.example": 0.006}, local="drop-dot-once"),
        Persona("down", {"gone.example": 0.002}, is_down=True),
        Persona("nowhere", {"missing.example": 0.003}),
    ]
