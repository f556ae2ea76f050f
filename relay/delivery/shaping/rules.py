"""Rules on reply texts: what a provider says, and what we do about it (spec 2.9). Values only; shaper.py enacts them.

A rule is tried on the whole reply, code and enhanced code first, in any case. Rules of a provider are tried in order
until one fires; one with a threshold that is not reached yet lets the next ones try.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from relay.delivery.replies import parse_reply
from relay.reply import Reply

_TRIGGER = re.compile(r"([1-9]\d{0,5})/h")
_RATE = re.compile(r"(\d{1,7}(?:\.\d+)?)/(s|min|h)")
_DURATION = re.compile(r"([1-9]\d{0,4})([mhd])")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_KEYS = ("id", "example", "text", "trigger", "effect", "duration")


class Kind(StrEnum):
    """What an effect changes; the value's unit differs."""

    SUSPEND = "suspend"  # nothing goes; no value
    RATE = "rate"  # messages a minute
    CONNECTION_RATE = "connection_rate"  # new connections a minute
    CONNECTIONS = "connections"  # at once
    MESSAGES_PER_CONNECTION = "messages_per_connection"
    BLAME = "blame"  # nothing is held back: the reply names what belongs to the sender, see ShapingEffect.blames


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a rule changes; `value` in the unit of its kind, 0 for a suspension."""

    kind: Kind
    value: float = 0.0

    def __str__(self) -> str:
        match self.kind:
            case Kind.SUSPEND | Kind.BLAME:
                return self.kind.value
            case Kind.RATE | Kind.CONNECTION_RATE:
                return f"{self.kind} {self.value:g}/min"
            case _:
                return f"{self.kind} {self.value:g}"


@dataclass(frozen=True, slots=True)
class ShapingRule:
    """`id` is PROVIDER/RULE. threshold 1: fires at once, N: at the N-th match within an hour.

    `example`: a real reply that it was made for, as one line.
    """

    id: str
    example: str
    pattern: re.Pattern[str]
    threshold: int
    changes: tuple[Change, ...]
    duration_seconds: float

    def matches(self, line: str) -> bool:
        """Tell whether a reply as one line is meant."""
        return self.pattern.search(line) is not None

    @property
    def is_immediate(self) -> bool:
        return self.threshold == 1


class RuleError(ValueError):
    """A row makes no sense; the text names rule, value and fix."""


def rule_of(provider: str, row: Mapping[str, object]) -> ShapingRule:
    """Return the rule of a TOML row. Raises RuleError."""
    known = str(row.get("id", ""))
    name = f"rule {provider}/{known}" if known else f"a rule of {provider}"
    for key in row:
        if key not in _KEYS:
            raise RuleError(f"{name}: unknown key {key!r}. Known: {', '.join(_KEYS)}")
    for key in _KEYS:
        if key not in row:
            raise RuleError(f"{name}: {key} is missing. A rule has {', '.join(_KEYS)}")
    if not _ID.fullmatch(known):
        raise RuleError(f"{name}: id = {known!r}: write lower-case letters, digits and -, at most 40")
    pattern = _pattern(name, row["text"])
    rule = ShapingRule(
        id=f"{provider}/{known}",
        example=str(_example(name, str(row["example"]))),
        pattern=pattern,
        threshold=_threshold(name, row["trigger"]),
        changes=_changes(name, row["effect"]),
        duration_seconds=_duration(name, row["duration"]),
    )
    if not rule.matches(rule.example):
        raise RuleError(
            f"{name}: text = {pattern.pattern!r} does not match its own example {rule.example!r}, so it can never "
            "fire. Correct one of them"
        )
    return rule


def rate_of(name: str, value: object) -> float:
    """Read "1/min", "10/s" or "500/h" as a rate per minute. Raises RuleError.

    >>> rate_of("rate", "10/s")
    600.0
    """
    found = _RATE.fullmatch(str(value))
    if not found or float(found[1]) <= 0:
        raise RuleError(f"{name} = {value!r}: write a rate above 0 like 10/s, 1/min or 500/h")
    return float(found[1]) * _PER_MINUTE[found[2]]


def count_of(name: str, value: object) -> int:
    """A whole number above 0. Raises RuleError."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000:
        return value
    raise RuleError(f"{name} = {value!r}: write a whole number from 1 to 100000")


def _pattern(name: str, text: object) -> re.Pattern[str]:
    try:
        pattern = re.compile(str(text), re.IGNORECASE)
    except re.error as error:
        raise RuleError(f"{name}: text = {text!r} is not a regular expression: {error}") from None
    if pattern.search(""):
        raise RuleError(f"{name}: text = {text!r} matches every reply. Write the words that only this one has")
    return pattern


def _example(name: str, example: str) -> Reply:
    try:
        reply = parse_reply(example.encode())
    except ValueError:
        reply = Reply(0, "", "")
    if not (reply.is_transient or reply.is_permanent):
        raise RuleError(f"{name}: example = {example!r}: write the whole refusal, from its code 4yz or 5yz on")
    return reply


def _threshold(name: str, trigger: object) -> int:
    if trigger == "immediate":
        return 1
    found = _TRIGGER.fullmatch(str(trigger))
    if not found:
        raise RuleError(f'{name}: trigger = {trigger!r}: write "immediate", or N/h with N above 0, like 3/h')
    return int(found[1])


def _changes(name: str, effect: object) -> tuple[Change, ...]:
    texts = effect if isinstance(effect, list) else [effect]
    if not texts:
        raise RuleError(f"{name}: effect = []: write what it does, like suspend")
    return tuple(_change(name, str(text)) for text in texts)


def _change(name: str, text: str) -> Change:
    kind, _, value = text.partition(" ")
    try:
        match kind:
            case Kind.SUSPEND if not value:
                return Change(Kind.SUSPEND)
            case Kind.RATE | Kind.CONNECTION_RATE:
                return Change(Kind(kind), rate_of(kind, value))
            case Kind.CONNECTIONS | Kind.MESSAGES_PER_CONNECTION:
                return Change(Kind(kind), count_of(kind, int(value) if value.isdigit() else value))
    except RuleError as error:
        raise RuleError(f"{name}: effect = {text!r}: {error}") from None
    raise RuleError(
        f"{name}: effect = {text!r} is unknown. Write suspend, rate 1/min, connection_rate 100/h, connections 1 or "
        "messages_per_connection 2"
    )


def _duration(name: str, value: object) -> float:
    found = _DURATION.fullmatch(str(value))
    if not found:
        raise RuleError(f"{name}: duration = {value!r}: write it like 15m, 2h or 1d")
    return float(int(found[1]) * _SECONDS[found[2]])
