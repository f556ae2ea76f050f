"""Simulated customers: they submit live mail through the relay's real door, AUTH over STARTTLS, like any server would.

smtplib blocks, so each connection lives in a thread of its own pool; what it learns goes into the ledger.
"""

import asyncio
import contextlib
import functools
import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from analytics.simulation.ledger import Ledger, Sent
from analytics.simulation.texts import Letter, abusive_letter, honest_letter
from analytics.simulation.world import Customer, EndSender, World, seeded
from relay.clock import Clock

T = TypeVar("T")
_log = logging.getLogger("mailweir.simulation")

_MESSAGES_PER_CONNECTION = 40
_CONNECTIONS = 2  # per customer
_SHARED_CONNECTIONS = 4  # of the shared server, which sends for 40 sites
_TRIES = 5  # of a message whose connection fails before its final dot


@dataclass(frozen=True, slots=True)
class Entrance:
    """The relay's submission door; `tls` trusts its certificate, `passwords` are by account."""

    host: str
    port: int
    tls: ssl.SSLContext
    passwords: Mapping[str, str]


class Customers:
    """Everybody who sends. `phase` is written on each message; change it as the story goes on."""

    def __init__(self, world: World, entrance: Entrance, ledger: Ledger, clock: Clock, seed: str) -> None:
        self._world, self._entrance, self._ledger, self._clock = world, entrance, ledger, clock
        self._seed = seed
        self._threads = ThreadPoolExecutor(max_workers=40, thread_name_prefix="customer")
        self._lanes = {one.account: _Lanes(entrance, one, clock, self._threads) for one in world.customers}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._sources: list[asyncio.Task[None]] = []
        self.phase = "calm"
        self.silent: set[str] = set()  # end senders (by key) that send nothing honest: hacked now or before

    async def connect(self) -> None:
        """Log every customer in once, so that the first message of the story waits for no password hash."""
        await asyncio.gather(*(lanes.connect() for lanes in self._lanes.values()))

    def start(self, rate: float) -> None:
        """Have all customers send from now on, together about `rate` messages a second."""
        self._sources = [
            asyncio.create_task(self._live(customer, rate * customer.share)) for customer in self._world.customers
        ]

    def start_attack(self, sender: EndSender, rate: float) -> None:
        """Hack a site: its plugin sends spam at `rate` a second, and the site nothing else."""
        self.silent.add(sender.key)
        self._sources.append(asyncio.create_task(self._spam(sender, rate), name="attack"))

    def stop_attack(self) -> bool:
        """Let the plugin fall silent; tell whether it was still spamming."""
        running = [task for task in self._sources if task.get_name() == "attack" and not task.done()]
        for task in running:
            task.cancel()
        return bool(running)

    async def stop(self) -> None:
        """Stop sending; return when every message that was begun is answered."""
        for task in self._sources:
            task.cancel()
        await asyncio.gather(*self._sources, return_exceptions=True)
        self._sources = []
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def close(self) -> None:
        """Stop, and hang up."""
        await self.stop()
        await asyncio.gather(*(lanes.close() for lanes in self._lanes.values()))
        self._threads.shutdown()

    async def _live(self, customer: Customer, rate: float) -> None:
        rng = seeded(self._seed, "live", customer.account)
        while True:
            await self._clock.sleep(rng.expovariate(rate))
            sender = rng.choice(customer.senders)
            if sender.key not in self.silent:
                letter = honest_letter(rng, sender, rng.choice(customer.recipients), self._clock.now())
                self._submit(customer.account, sender, letter, abusive=False)

    async def _spam(self, sender: EndSender, rate: float) -> None:
        rng = seeded(self._seed, "spam", sender.key)
        account = sender.key.split("|", 1)[0]
        while True:
            letter = abusive_letter(rng, sender, rng.choice(self._world.bought_list), self._clock.now())
            self._submit(account, sender, letter, abusive=True)
            await self._clock.sleep(rng.uniform(0.6, 1.4) / rate)

    def _submit(self, account: str, sender: EndSender, letter: Letter, *, abusive: bool) -> None:
        living = self._world.exists(letter.recipient)
        entry = self._ledger.begin(letter, sender.key, abusive=abusive, phase=self.phase, living=living)
        task = asyncio.create_task(self._lanes[account].send(entry, letter))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)


class _Lanes:
    """The connections of one customer: a message takes one that is free."""

    def __init__(self, entrance: Entrance, customer: Customer, clock: Clock, threads: ThreadPoolExecutor) -> None:
        self._clock, self._threads = clock, threads
        count = _SHARED_CONNECTIONS if customer.shared_host else _CONNECTIONS
        self._all = [_Connection(entrance, customer) for _ in range(count)]
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        for connection in self._all:
            self._free.put_nowait(connection)

    async def connect(self) -> None:
        await self._in_thread(self._all[-1].open)

    async def send(self, entry: Sent, letter: Letter) -> None:
        connection = await self._free.get()
        try:
            entry.began_unix = self._clock.unix()
            entry.code, entry.text = await self._try(connection, letter)
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        await asyncio.gather(*(self._in_thread(connection.close) for connection in self._all))

    async def _try(self, connection: "_Connection", letter: Letter) -> tuple[int, str]:
        for left in reversed(range(_TRIES)):
            try:
                return await self._in_thread(functools.partial(connection.submit, letter))
            except (OSError, smtplib.SMTPException) as error:
                connection.drop()
                _log.warning("submission failed account=%s error=%s", connection.account, error)
                if not left:
                    return 0, str(error)
            await self._clock.sleep(0.5)
        raise AssertionError("the last try returns")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Connection:
    """One SMTP session as this customer; every method blocks."""

    def __init__(self, entrance: Entrance, customer: Customer) -> None:
        self._entrance, self.account = entrance, customer.account
        self._helo = "srv1.sunhost.example" if customer.shared_host else f"mail.{customer.domains[0]}"
        self._smtp: smtplib.SMTP | None = None
        self._left = 0

    def open(self) -> smtplib.SMTP:
        if self._smtp is None:
            smtp = smtplib.SMTP(self._entrance.host, self._entrance.port, self._helo, timeout=30)
            smtp.starttls(context=self._entrance.tls)
            smtp.login(self.account, self._entrance.passwords[self.account])
            self._smtp, self._left = smtp, _MESSAGES_PER_CONNECTION
        return self._smtp

    def submit(self, letter: Letter) -> tuple[int, str]:
        """Return the relay's last reply: to the final dot, or the refusal before it."""
        smtp = self.open()
        code, text = smtp.mail(letter.mail_from)
        if code == 250:
            code, text = smtp.rcpt(letter.recipient)
        if code == 250:
            code, text = smtp.data(letter.content)
        else:
            smtp.rset()
        self._left -= 1
        if not self._left:
            self.close()
        return code, text.decode("utf-8", "replace")

    def close(self) -> None:
        """Say goodbye."""
        if self._smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
        self.drop()

    def drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None
