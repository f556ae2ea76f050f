"""What happened to one message, in order, from the row of the query `message`. Pure."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class Step:
    """One event. `kind` is its word: received, accept, held, delivered, ...; `who` is the recipient, "" for all."""

    happened_at: datetime
    kind: str
    text: str
    who: str = ""
    details: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"happened_at": self.happened_at.isoformat()}


def timeline(message: dict[str, Any]) -> list[Step]:
    """Reception, verdict, holds and releases, tries and ends of each recipient, complaints; oldest first."""
    received = instant(message.get("received_at")) or datetime.fromtimestamp(0, UTC)
    addresses = {rcpt.get("id"): str(rcpt.get("address")) for rcpt in rows(message.get("recipients"))}
    steps = [_reception(message, received, len(addresses)), _verdict(message, received)]
    steps += [_held(event, received) for event in rows(message.get("held_events"))]
    steps += [_try(attempt, addresses, received) for attempt in rows(message.get("tries"))]
    steps += [
        Step(
            instant(said.get("reported_at")) or received,
            "complaint",
            f"{said.get('feedback_type') or 'abuse'} by way of {said.get('provider') or 'an unknown provider'}",
            str(said.get("recipient") or ""),
        )
        for said in rows(message.get("complaints"))
    ]
    return sorted(steps, key=lambda step: step.happened_at)  # stable: reception stays before its verdict


def rows(value: Any) -> list[dict[str, Any]]:
    """A list of records that came as JSON, as an array or as itself."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def instant(value: Any) -> datetime | None:
    """An instant that came as a text or as itself, aware; None for nothing."""
    if value is None or value is pd.NaT or value == "":
        return None
    stamp = pd.Timestamp(value)
    found: datetime = (stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)).to_pydatetime()
    return found


def _reception(message: dict[str, Any], at: datetime, recipients: int) -> Step:
    words = [f"from {message.get('mail_from') or '<>'} for {recipients} recipient{'' if recipients == 1 else 's'}"]
    for name, label in (("client_ip", "address"), ("helo", "helo"), ("credential", "login"), ("tls", "tls")):
        if message.get(name):
            place = _place(message) if name == "client_ip" else ""
            words.append(f"{label} {message[name]}{place}")
    return Step(at, "received", ", ".join(words))


def _place(message: dict[str, Any]) -> str:
    country, asn = message.get("country"), message.get("asn")
    known = [str(country)] if country else []
    if asn and asn == asn:  # NaN, where the column is of before
        known.append(f"AS{int(asn)}")
    return f" ({', '.join(known)})" if known else ""


def _verdict(message: dict[str, Any], at: datetime) -> Step:
    trace = message.get("trace")
    found = json.loads(trace) if isinstance(trace, str) and trace else trace
    steps = [step for step in found if len(step) >= 3] if isinstance(found, list) else []
    details = tuple(f"{'=> ' if step[1] else '   '}{step[0]}: {step[2]}" for step in steps)
    score = message.get("score")
    scored = "" if score is None or score != score else f", score {score:.3f}"
    return Step(at, str(message.get("action")), f"rule {message.get('rule')}{scored}", details=details)


def _held(event: dict[str, Any], fallback: datetime) -> Step:
    by = event.get("author") or event.get("decision_id") or "the relay"
    because = (
        f": {event['reason']}" if event.get("reason") else f", as {event['verdict']}" if event.get("verdict") else ""
    )
    return Step(instant(event.get("logged_at")) or fallback, str(event.get("event")), f"by {by}{because}")


def _try(attempt: dict[str, Any], addresses: dict[Any, str], fallback: datetime) -> Step:
    who = addresses.get(attempt.get("id"), "")
    reply = " ".join(str(attempt[part]) for part in ("code", "enhanced", "text") if attempt.get(part))
    way = f"try {attempt.get('attempt') or '?'} at {attempt.get('destination') or '?'}"
    if attempt.get("remote"):
        way += f" ({attempt['remote']}{', ' + str(attempt['tls']) if attempt.get('tls') else ''})"
    due = instant(attempt.get("due_at"))
    again = f"again at {due:%F %T}Z" if due and attempt.get("outcome") == "deferred" else ""
    details = tuple(line for line in (reply, again) if line)
    return Step(
        instant(attempt.get("tried_at")) or fallback, str(attempt.get("outcome")), f"{who}: {way}", who, details
    )
