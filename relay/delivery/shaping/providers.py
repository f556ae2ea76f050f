"""The mailbox providers: how to know them by their MX, and how much of us each of them takes (rules/providers.toml).

Domains whose MX hosts ALL belong to one provider share its name, its queue and its limits. The operator's own file
(delivery.providers) has the same schema; its keys and rules win, by the provider's name and the rule's id.
"""

import importlib.resources
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.delivery.shaping.rules import RuleError, ShapingRule, count_of, rate_of, rule_of
from relay.settings import Delivery, SettingsError

DEFAULT = "default"
_PACKAGED = "providers.toml"
_TLS = ("opportunistic", "required", "none")
_MANNERS = ("aimd", "google")
_COUNTS = ("connections", "connections_total", "messages_per_connection")
_RATES = ("messages", "new_connections")
_SUFFIX = re.compile(r"(\.[a-z0-9_-]+){2,}")  # one label alone would be all hosts of a top-level domain
_KEYS = ("suffixes", *_COUNTS, *_RATES, "tls", "manners", "rule")


@dataclass(frozen=True, slots=True)
class Provider:
    """One row. `connections` are those of one egress source, `connections_total` those of all; None: no such limit.

    tls "": whatever the settings say. `rules`: its own, then those of everybody.
    """

    name: str
    suffixes: tuple[str, ...]
    connections: int
    connections_total: int | None
    messages_per_connection: int
    messages_per_minute: float | None
    connections_per_minute: float | None
    tls: str
    manners: str
    rules: tuple[ShapingRule, ...]


class Providers:
    """All of them, by name and by MX."""

    def __init__(self, rows: Iterable[Provider]) -> None:
        self._by_name = {row.name: row for row in rows}
        self._by_suffix = {suffix: row for row in self._by_name.values() for suffix in row.suffixes}
        self.default = self._by_name[DEFAULT]

    def of(self, exchanges: Sequence[str]) -> Provider:
        """The provider that all these MX hosts (lower-case) belong to; the default one unless there is exactly one."""
        found = {self._match(exchange) for exchange in exchanges}
        return found.pop() or self.default if len(found) == 1 else self.default

    def named(self, destination: str) -> Provider:
        """The provider of a destination's name; the default one when it is no provider's."""
        return self._by_name.get(destination, self.default)

    def all(self) -> list[Provider]:
        return list(self._by_name.values())

    def rules(self) -> list[ShapingRule]:
        """Every rule once."""
        return list({rule.id: rule for row in self._by_name.values() for rule in row.rules}.values())

    def _match(self, exchange: str) -> Provider | None:
        """By the longest suffix: from `.mail.protection.outlook.com` down to `.outlook.com`."""
        name = exchange.rstrip(".")
        while (dot := name.find(".")) >= 0:
            if (row := self._by_suffix.get(name[dot:])) is not None:
                return row
            name = name[dot + 1 :]
        return None


def load_providers(path: Path | None, settings: Delivery) -> Providers:
    """Read the packaged table, and the operator's file over it. Raises SettingsError with file, rule, value, fix."""
    packaged = importlib.resources.files("relay.rules").joinpath(_PACKAGED).read_text("utf-8")
    table = _parsed(_PACKAGED, packaged)
    origin = _PACKAGED
    if path is not None:
        try:
            own = _parsed(str(path), path.expanduser().read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"delivery.providers = {str(path)!r}: it cannot be read: {error}") from None
        _build(str(path), own, settings, is_whole=False)  # what is wrong in his file alone is said of his file
        table, origin = _overlaid(str(path), table, own), f"{path} over {_PACKAGED}"
    return _build(origin, table, settings, is_whole=True)


_Table = dict[str, dict[str, Any]]


def _parsed(origin: str, text: str) -> _Table:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{origin}: {error}") from None
    for key in content:
        if key != "provider":
            raise SettingsError(f"{origin}: unknown key {key!r}. Write [provider.NAME] and [[provider.NAME.rule]]")
    table = content.get("provider", {})
    for name, row in table.items() if isinstance(table, dict) else [("provider", table)]:
        rules = row.get("rule", []) if isinstance(row, dict) else None
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise SettingsError(f"{origin}: {name}: write [provider.NAME] and [[provider.NAME.rule]]")
    assert isinstance(table, dict)
    return table


def _overlaid(origin: str, table: _Table, own: _Table) -> _Table:
    """His keys win. A rule of his replaces ours of the same id in its place, goes with `off`, or is tried first."""
    merged = dict(table)
    for name, row in own.items():
        ours = table.get(name, {})
        kept, new = {str(rule["id"]): rule for rule in ours.get("rule", [])}, []
        for rule in row.get("rule", []):
            known = str(rule.get("id"))
            if known in kept:
                kept[known] = rule
            elif rule.get("off"):
                raise SettingsError(
                    f"{origin}: rule {name}/{known}: off = true, but there is no such rule to switch off. "
                    f"Rules of {name}: {', '.join(kept) or 'none'}"
                )
            else:
                new.append(rule)
        merged[name] = {**ours, **row, "rule": [*new, *kept.values()]}
    return merged


def _build(origin: str, table: _Table, settings: Delivery, *, is_whole: bool) -> Providers:
    """`is_whole` false: an overlay alone, whose providers may have their matchers in the packaged table."""
    try:
        common = tuple(_rules(DEFAULT, table.get(DEFAULT, {})))
        names = table if is_whole else {DEFAULT: {}, **table}
        rows = [_provider(name, row, common, settings) for name, row in names.items()]
        if is_whole:
            _check_matchers(rows)
            for row in rows:
                _check_reachable(row.rules if row.name == DEFAULT else row.rules[: len(row.rules) - len(common)])
    except RuleError as error:
        raise SettingsError(f"{origin}: {error}") from None
    return Providers(rows)


def _provider(name: str, row: Mapping[str, Any], common: Sequence[ShapingRule], settings: Delivery) -> Provider:
    for key in row:
        if key not in _KEYS:
            raise RuleError(f"provider {name}: unknown key {key!r}. Known: {', '.join(_KEYS)}")
    counts = {key: count_of(f"provider {name}: {key}", row[key]) for key in _COUNTS if key in row}
    rates = {key: rate_of(f"provider {name}: {key}", row[key]) for key in _RATES if key in row}
    return Provider(
        name=name,
        suffixes=_suffixes(name, row.get("suffixes", [])),
        connections=counts.get("connections", settings.connections),
        connections_total=counts.get("connections_total"),
        messages_per_connection=counts.get("messages_per_connection", settings.messages_per_connection),
        messages_per_minute=rates.get("messages"),
        connections_per_minute=rates.get("new_connections"),
        tls=_one_of(f"provider {name}: tls", row.get("tls", ""), ("", *_TLS)),
        manners=_one_of(f"provider {name}: manners", row.get("manners", "aimd"), _MANNERS),
        rules=tuple(common) if name == DEFAULT else (*_rules(name, row), *common),
    )


def _rules(name: str, row: Mapping[str, Any]) -> list[ShapingRule]:
    rules = []
    for one in row.get("rule", []):
        if one.get("off") is True and set(one) == {"id", "off"}:
            continue
        rules.append(rule_of(name, one))
    ids = [rule.id for rule in rules]
    for rule_id in ids:
        if ids.count(rule_id) > 1:
            raise RuleError(f"rule {rule_id}: there are two of that id. Rename one")
    return rules


def _suffixes(name: str, value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str) or not _SUFFIX.fullmatch(text):
            raise RuleError(
                f"provider {name}: suffixes = {text!r}: write the end of its MX names, lower-case, with the dot before "
                "it, like .mx.example.net"
            )
    return tuple(texts)


def _one_of(name: str, value: object, known: Sequence[str]) -> str:
    if value not in known:
        raise RuleError(f"{name} = {value!r}: write one of {', '.join(filter(None, known))}")
    return str(value)


def _check_matchers(rows: Sequence[Provider]) -> None:
    owner: dict[str, str] = {}
    for row in rows:
        if not row.suffixes and row.name != DEFAULT:
            what = f"rule {row.rules[0].id}" if row.rules and row.rules[0].id.startswith(f"{row.name}/") else "it"
            raise RuleError(
                f'provider {row.name}: no suffixes, so {what} can never match. Write suffixes = [".mx.example.net"], '
                f"or the name of a provider that has them: {', '.join(r.name for r in rows if r.suffixes)}"
            )
        for suffix in row.suffixes:
            if owner.setdefault(suffix, row.name) != row.name:
                raise RuleError(
                    f"provider {row.name}: suffix {suffix!r} belongs to {owner[suffix]} already; remove one"
                )


def _check_reachable(rules: Sequence[ShapingRule]) -> None:
    """A rule's own example must come as far as to it."""
    for number, rule in enumerate(rules):
        for earlier in rules[:number]:
            if earlier.is_immediate and earlier.matches(rule.example):
                raise RuleError(
                    f"rule {rule.id}: can never fire: rule {earlier.id} stands before it, is immediate and matches its "
                    f"example {rule.example!r}. Put it before, narrow the text of {earlier.id}, or switch one off with "
                    f"id = {rule.id.partition('/')[2]!r} and off = true"
                )
