"""The certain rules as data: rules/content.toml, overlaid by the operator's file. What a sign is stands in signs.py.

Read by main, which counts what concerns several messages, and by the content template, which tries the examples.
"""

import importlib.resources
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from relay.content.protocol import ModelError
from relay.events import Action

ACTIONS = {"reject": Action.REJECT, "hold": Action.HOLD, "feature": Action.ACCEPT}
_PACKAGED = "content.toml"


class RuleError(ModelError):
    """The rules cannot be used; the text names file, rule and fix."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One rule. `sign` names what is looked for, `words` and `extensions` are its terms; `example` is a mail that meets
    it, in lines ended by LF.

    `after`, `hours`: acts at the so-manieth message of a sender within (a sender younger than a day: at the first).
    `senders`, `minutes`: acts when more end senders than that have sent the same text within; then `least_words`.
    """

    id: str
    sign: str
    action: Literal["reject", "hold", "feature", "off"]
    code: Literal["MW", "PH", "SS", "URL"] = "SS"
    example: str = ""
    words: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    after: int = 1
    hours: int = 72
    senders: int = 0
    minutes: int = 10
    least_words: int = 0


class Brand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A name that is often imitated, as it is written in display names, and the domains it mails from and links to."""

    name: str
    domains: list[str]


class RuleBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules that are not off, and the brands."""

    rule: list[Rule] = []
    brand: list[Brand] = []


def load_rules(path: str = "") -> RuleBook:
    """Return the packaged rules, overlaid by id by those of the file `path`; "none": none at all. Raises RuleError."""
    if path == "none":
        return RuleBook()
    packaged = importlib.resources.files("relay.rules").joinpath(_PACKAGED).read_text("utf-8")
    book = _parsed(packaged, f"rules/{_PACKAGED}")
    if not path:
        return _in_force(book.rule, book.brand)
    try:
        own = _parsed(Path(path).read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"content.rules = {path!r}: {error}") from error
    brands = {brand.name: brand for brand in (*book.brand, *own.brand)}
    rules = {rule.id: rule for rule in (*book.rule, *own.rule)}
    return _in_force(rules.values(), brands.values())


def _in_force(rules: Iterable[Rule], brands: Iterable[Brand]) -> RuleBook:
    return RuleBook(rule=[rule for rule in rules if rule.action != "off"], brand=list(brands))


def _parsed(text: str, where: str) -> RuleBook:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{where}: {error}") from error
    rules = [_rule(name, table, where) for name, table in content.pop("rule", {}).items()]
    try:
        brands = msgspec.convert(content.pop("brand", []), list[Brand])
    except msgspec.ValidationError as error:
        raise RuleError(f"{where}: brand: {error}") from error
    if content:
        raise RuleError(f"{where}: unknown key {next(iter(content))!r}; known are [rule.ID] and [[brand]]")
    return RuleBook(rule=rules, brand=brands)


def _rule(name: str, table: Any, where: str) -> Rule:
    try:
        rule: Rule = msgspec.convert({"id": name} | table, Rule)
    except (msgspec.ValidationError, TypeError) as error:
        known = ", ".join(Rule.__struct_encode_fields__[1:])
        raise RuleError(f"{where}: rule.{name}: {error}; a rule has the keys {known}") from error
    if rule.action != "off" and not rule.example:
        raise RuleError(f"{where}: rule.{name}: no `example`; give a short mail that meets the rule")
    if rule.after < 1 or rule.minutes < 1 or rule.hours < 1 or rule.senders < 0:
        raise RuleError(f"{where}: rule.{name}: `after`, `hours` and `minutes` must be 1 or more, `senders` 0 or more")
    return rule
