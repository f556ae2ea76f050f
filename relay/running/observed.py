"""What a relay's parts tell its metrics and its log. Must never change what becomes of mail."""

import logging
from collections.abc import Callable

from relay.delivery.replies import Category
from relay.events import Attempt, Bounce, Deferral, Delivery, Expiration, Record
from relay.metrics import Metrics
from relay.policy.decisions.decision import Decision, Effect
from relay.policy.decisions.self_release import is_stop
from relay.policy.signals.outages import OutcomeKind
from relay.running.core import Core
from relay.running.parts import Parts
from relay.spool.store import SpooledRecipient

_NO_SUCH_ADDRESS = (Category.INVALID_RECIPIENT, Category.BAD_DOMAIN)
# what a next hop says of our address, our pace or our configuration says nothing of a sender
_OF_US = (Category.GREYLISTED, Category.RATE_LIMITED, Category.REPUTATION_BLOCK, Category.CONFIG_CUSTOMER)

_messages = logging.getLogger("mailweir.messages")


def outcome_counter(
    metrics: Metrics, core: Core, on_bounce: Callable[[Bounce], None]
) -> Callable[[SpooledRecipient, Record], None]:
    """Return what hears each outcome: metrics, alarms, signals, suppression, and the log where it is wanted."""

    def heard(recipient: SpooledRecipient, record: Record) -> None:
        is_sandbox = isinstance(record, Attempt) and record.sandbox
        if not is_sandbox:
            core.misconfigured.note(recipient, record, core.clock.unix())
        metrics.outcomes.labels(type(record).__name__.lower()).inc()
        if isinstance(record, Delivery | Deferral) and _messages.isEnabledFor(logging.INFO):
            kind = "delivered" if isinstance(record, Delivery) else "deferred"
            what = kind, record.message_id, record.account, record.recipient_id, record.destination, record.code
            _messages.info("%s message=%s account=%s recipient=%d destination=%s code=%d", *what)
        if isinstance(record, Bounce | Expiration):
            metrics.failures_told.labels(record.told).inc()
        if is_sandbox:  # on purpose: it speaks of nobody
            return
        if isinstance(record, Bounce):
            on_bounce(record)
        if isinstance(record, Delivery):
            metrics.delivery_seconds.observe(record.queued_seconds)
        if isinstance(record, Attempt) and (said := _kind(record)) is not None:
            core.signals.outcome(recipient.message.sender, said, core.clock.unix(), record.destination)

    return heard


def _kind(record: Attempt) -> OutcomeKind | None:
    """What an attempt says of its sender; None where it speaks of us or was counted before."""
    match record:
        case Delivery():
            return "delivered"
        case Deferral():  # its first try: later ones tell nothing new
            return "deferred" if record.attempt == 1 and record.category not in _OF_US else None
        case Bounce():
            if record.is_hard and (record.category in _NO_SUCH_ADDRESS or record.enhanced.startswith("5.1.")):
                return "hard_bounce"
            return "failed" if record.category not in _OF_US else None
        case Expiration():
            return "failed"
    return None


def count(parts: Parts) -> None:
    """Have the parts count what they do."""
    metrics = parts.metrics
    parts.core.misconfigured.on_alarm = lambda condition: metrics.alarms.labels(condition).inc()
    parts.courier.on_first_attempt(metrics.queue_wait_seconds.observe)
    parts.courier.on_tls_failure(lambda policy: metrics.tls_failures.labels(policy).inc())
    parts.doors.on_unwelcome = lambda reason: metrics.connections_refused.labels(reason).inc()
    parts.messages.on_answer = lambda status: metrics.http_requests.labels(str(status)).inc()
    parts.commands.on_decided = _decision_counter(parts)


def _decision_counter(parts: Parts) -> Callable[[Decision], None]:
    def heard(decision: Decision) -> None:
        parts.metrics.decisions.labels(decision.proposal.effect.value).inc()
        parts.told.notices.heard(decision)
        if is_stop(decision) or decision.proposal.effect is Effect.RELEASE:
            parts.core.journal.hasten()  # webhooks wait for the record, which comes next

    return heard


def show_gauges(parts: Parts) -> None:
    """Have /metrics read how full and how busy the parts are."""
    gauge, spool = parts.metrics.gauge, parts.core.spool
    gauge("sessions", "Open SMTP sessions", lambda: parts.doors.sessions)
    gauge("suppressed", "Rows of the suppression list", lambda: len(parts.core.state.suppression))
    gauge("web_connections", "Open connections of the public web listener", lambda: parts.web.connections)
    parts.metrics.watch_spool(spool, parts.core.clock)
    spool.on_rescheduled(parts.courier.wake)
    shaper, clock = parts.core.shaper, parts.core.clock
    gauge("shaping_effects", "Effects in force towards destinations", lambda: len(shaper.effects(clock.unix())))
    gauge("content_queue", "Messages waiting for a content worker", lambda: parts.core.content.stats().queued)
