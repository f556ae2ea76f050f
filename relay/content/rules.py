"""The certain rules on one message: which it meets, and what was seen. In content workers."""

from collections.abc import Callable

from relay.content.brands import Brands
from relay.content.features import measure
from relay.content.message import Reading, read
from relay.content.rule_book import ACTIONS, Rule, RuleBook, RuleError
from relay.content.signs import SIGNS, Sighting, Sign
from relay.content.window import Content
from relay.events import Features, Hit

_MOST = 8  # of hits: nobody reads more

Words = Callable[[str], list[str]]


class Rules:
    """A rule book ready to use. Raises RuleError for an unknown sign and for a rule whose own example does not meet it.

    `words_of` cuts text into words as the tokeniser does, for the examples.
    """

    def __init__(self, book: RuleBook, words_of: Words) -> None:
        self._brands = Brands(book.brand)
        self._rules: list[tuple[Rule, Sign]] = []
        for rule in book.rule:
            if rule.sign not in SIGNS:
                raise RuleError(
                    f"content.toml: rule.{rule.id}: sign = {rule.sign!r} is unknown; known are {', '.join(SIGNS)}"
                )
            self._rules.append((rule, SIGNS[rule.sign]))
        # what concerns several senders, main knows (policy/verdict/certain.py); here only its example is tried
        self._of_one = [(rule, sign) for rule, sign in self._rules if not rule.senders]
        for rule, sign in self._rules:
            content = rule.example.lstrip("\n").replace("\r\n", "\n").replace("\n", "\r\n").encode()
            reading = read(content)
            features = measure(reading, words_of(reading.visible or reading.plain), "")
            if not sign(Sighting(reading, features, content, self._brands), rule):
                raise RuleError(
                    f"content.toml: rule.{rule.id}: its own example does not meet it; mend the example, or the rule's "
                    f"words, extensions and brands"
                )

    def find(self, reading: Reading, features: Features, content: Content) -> list[Hit]:
        """Return the rules that a message meets by itself, in the book's order."""
        seen = Sighting(reading, features, content, self._brands)
        hits: list[Hit] = []
        for rule, sign in self._of_one:
            if text := sign(seen, rule):
                hits.append(Hit(rule.id, ACTIONS[rule.action], rule.code, text))
        return hits[:_MOST]
