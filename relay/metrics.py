"""What the relay counts for Prometheus. One registry of its own, so that tests may make several relays."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
        self.auth_failures = self._counter("auth_failures", "Refused logins")
        self.unnamed = self._counter("unnamed", "Messages of shared hosts that name no end user")
        self.alarms = self._counter("alarms", "Alarms raised", "condition")
        self.decisions = self._counter("decisions", "Decisions in force", "effect")
        self.accept_seconds = self._histogram("accept_seconds", "Final dot to 250")
        self.delivery_seconds = self._histogram("delivery_seconds", "250 to the next hop's 250")

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show what `read` returns whenever metrics are asked for."""
        Gauge(f"mailweir_{name}", text, registry=self._registry).set_function(read)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mailweir_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"mailweir_{name}", text, buckets=_SECONDS, registry=self._registry)
