"""What the relay counts for Prometheus. One registry of its own, so that tests may make several relays."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from relay.clock import Clock
from relay.spool.entry import CommitTimes, SpoolCounts

if TYPE_CHECKING:
    from relay.spool.store import Spool

_DISK_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600, 3600, 14400)


class Metrics:
    """Counters set where things happen; gauges read when somebody asks."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.accepted = self._counter("accepted", "Messages answered 250, held ones included")
        self.held = self._counter("held", "Messages parked by a verdict", "rule")
        self.delayed = self._counter("delayed", "Messages taken over a limit, to leave when there is room")
        self.refused = self._counter("refused", "Messages answered 4yz or 5yz", "rule")
        self.outcomes = self._counter("outcomes", "Recipients by outcome of an attempt", "outcome")
        self.failures_told = self._counter("failures_told", "Failed recipients by who hears of them", "told")
        self.inbound = self._counter("inbound", "Reports to return paths of ours", "result")
        self.auth_failures = self._counter("auth_failures", "Logins refused for a wrong name or password")
        self.connections_refused = self._counter("connections_refused", "SMTP connections turned away", "reason")
        self.http_requests = self._counter("http_requests", "POST /v1/messages by status of the answer", "status")
        self.unnamed = self._counter("unnamed", "Messages of shared hosts that name no end user")
        self.alarms = self._counter("alarms", "Alarms raised", "condition")
        self.unsubscriptions = self._counter("unsubscriptions", "Recipients who unsubscribed by our links", "method")
        self.decisions = self._counter("decisions", "Decisions taken, of the relay, analytics and people", "effect")
        self.tls_failures = self._counter("tls_failures", "Next hops that did not meet a domain's TLS policy", "policy")
        self.accept_seconds = self._histogram("accept_seconds", "Final dot to 250, of accepted and held messages")
        self.content_wait_seconds = self._histogram(
            "content_wait_seconds", "Hand-over to a content worker to its answer"
        )
        self.queue_wait_seconds = self._histogram("queue_wait_seconds", "Receipt to the first attempt of delivery")
        self.delivery_seconds = self._histogram("delivery_seconds", "Receipt to the next hop's 250, of each recipient")
        self.commit_seconds = self._histogram(
            "commit_seconds", "One commit of the spool that stored mail", _DISK_SECONDS
        )
        self.fsync_seconds = self._histogram("fsync_seconds", "The fdatasync of a commit's contents", _DISK_SECONDS)
        self.commit_wait_seconds = self._histogram(
            "commit_wait_seconds", "Longest wait of a commit's messages for the commit before", _DISK_SECONDS
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show what `read` returns whenever metrics are asked for."""
        Gauge(f"mailweir_{name}", text, registry=self._registry).set_function(read)

    def watch_spool(self, spool: "Spool", clock: Clock) -> None:
        """Show how full the spool is and what its commits take."""
        counts = spool.counts
        spool.on_commit(self._committed)
        self.gauge("spool_messages", "Messages in the spool", lambda: counts().messages)
        self.gauge("spool_recipients", "Recipients in the spool", lambda: counts().recipients)
        self.gauge("spool_held", "Held messages", lambda: counts().held)
        self.gauge("spool_quarantined", "Messages whose bytes are damaged", lambda: counts().quarantined)
        self.gauge("spool_bytes", "Bytes that messages take in segments", lambda: counts().bytes)
        self.gauge("spool_oldest_seconds", "Age of the oldest message", lambda: _age(counts(), clock))

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _committed(self, times: CommitTimes) -> None:
        self.commit_seconds.observe(times.seconds)
        self.fsync_seconds.observe(times.fsync_seconds)
        self.commit_wait_seconds.observe(times.waited_seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mailweir_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        return Histogram(f"mailweir_{name}", text, buckets=buckets, registry=self._registry)


def _age(counts: SpoolCounts, clock: Clock) -> float:
    since = counts.oldest_received_at
    return 0.0 if since is None else max((clock.now() - since).total_seconds(), 0.0)
