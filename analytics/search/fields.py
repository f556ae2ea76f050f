"""The fields a search knows: what each means, holds and reads. docs/search.md shows them; a test holds both together.

`sql` is an expression over one recipient's way of one message (ways.py): columns of message and rejection, and those
of `way`. Only this module writes SQL about single columns.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from analytics.ingesting.columns import FEATURES


class Kind(StrEnum):
    """How a value is written."""

    TEXT = "text"  # equal, whatever the case; * and ? are wildcards
    PART = "part"  # a text that is searched for the value
    NUMBER = "number"
    SIZE = "size"  # bytes: 10k, 5M
    SECONDS = "seconds"  # 90, 5m, 2h
    INSTANT = "instant"
    CHOICE = "choice"
    FLAG = "flag"
    ADDRESS = "address"  # an IP address, with wildcards, or a network
    SENDER = "sender"  # a whole key, or the end of one


class Level(StrEnum):
    """Whether the message tells it, or only what became of it for one recipient."""

    MESSAGE = "message"
    WAY = "way"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `meaning` ends a sentence that begins with its name; `example` is a query that finds something."""

    name: str
    kind: Kind
    level: Level
    sql: str
    meaning: str
    example: str
    choices: tuple[str, ...] = ()


OUTCOMES = ("delivered", "deferred", "bounced", "expired", "dropped", "held", "refused", "waiting")


def _m(name: str, kind: Kind, sql: str, meaning: str, example: str, choices: tuple[str, ...] = ()) -> Field:
    return Field(name, kind, Level.MESSAGE, sql, meaning, example, choices)


def _o(name: str, kind: Kind, sql: str, meaning: str, example: str, choices: tuple[str, ...] = ()) -> Field:
    return Field(name, kind, Level.WAY, sql, meaning, example, choices)


def _within(table: str, where: str) -> str:
    return f"message_id IN (SELECT message_id FROM {table} WHERE {where} AND message_id <> '')"  # noqa: S608 - constants


_WAS_DEFERRED = "((message_id, place) IN (SELECT (message_id, recipient_id) FROM tried) AND NOT is_refused)"

_NO_MAILBOX = "(outcome = 'bounced' AND (class IN ('InvalidRecipient', 'BadDomain') OR enhanced LIKE '5.1.%'))"

_NAMED = (
    _m("time", Kind.INSTANT, "received_at", "when the message came", "time:2026-11-01..2026-11-03"),
    _m("id", Kind.TEXT, "message_id", "the message's id", "id:mw1.42"),
    _m("account", Kind.TEXT, "account", "the account", "account:acme"),
    _m("reseller", Kind.TEXT, "reseller", "the reseller of the account", "reseller:north"),
    _m(
        "sender", Kind.SENDER, "sender", "the end sender: its key, or what its key ends with", "sender:web@acme.example"
    ),
    _m("kind", Kind.TEXT, "sender_kind", "what named the end sender", "kind:x-authuser"),
    _m("from", Kind.TEXT, "mail_from", "the envelope's sender", "from:*@acme.example"),
    _m("header_from", Kind.PART, "header_from", "what the From line has in it", "header_from:paypal"),
    _o("to", Kind.TEXT, "address", "the recipient", "to:*@example.org"),
    _o("domain", Kind.TEXT, "split_part(address, '@', -1)", "the recipient's domain", "domain:gmail.com"),
    _m("subject", Kind.PART, "subject", "what the subject has in it", 'subject:"your invoice"'),
    _m("header_id", Kind.TEXT, "header_message_id", "the Message-ID line", 'header_id:"<1@acme.example>"'),
    _m("ip", Kind.ADDRESS, "client_ip", "the address it came from", "ip:192.0.2.0/24"),
    _m("country", Kind.TEXT, "country", "the country of that address, where a file knows it", "country:BR"),
    _m("asn", Kind.NUMBER, "asn", "the number of its autonomous system", "asn:64500"),
    _m("helo", Kind.TEXT, "helo", "the name that address gave itself", "helo:*.acme.example"),
    _m("login", Kind.TEXT, "credential", "the login it was given in with", "login:acme"),
    _m("door", Kind.TEXT, "door", "the way in: smtp or http", "door:http"),
    _m("script", Kind.TEXT, "script", "the script its server names", "script:*/mailer.php"),
    _m("size", Kind.SIZE, "size_bytes", "its size in bytes, with k or M", "size:>5M"),
    _m("action", Kind.CHOICE, "action", "the verdict", "action:hold", ("accept", "hold", "defer", "reject")),
    _m("rule", Kind.TEXT, "rule", "the rule that decided", "rule:spam_rate"),
    _m("score", Kind.NUMBER, "score", "the spam score, 0 to 1", "score:0.5..0.9"),
    _m("reason", Kind.PART, "array_to_string(reasons, ', ')", "what the score's reasons have in them", "reason:links"),
    _m("model", Kind.TEXT, "model", "the model that scored it", "model:shipped"),
    _m("policy", Kind.TEXT, "policy_version", "the policy that judged it", "policy:v3"),
    _m("decision", Kind.TEXT, "decision_id", "the decision that stopped it", "decision:mw1-d1"),
    _m("standing", Kind.TEXT, "standing", "how its sender stood then", "standing:held"),
    _m("fingerprint", Kind.TEXT, "fingerprint", "the fingerprint of its text", "fingerprint:*"),
    _m("link", Kind.PART, "array_to_string(f_link_domains, ' ')", "what a domain it links to has in it", "link:bit.ly"),
    _m("recipients", Kind.NUMBER, "recipients_count", "how many recipients it has", "recipients:>50"),
    _m("pool", Kind.TEXT, "pool", "the egress pool it leaves through", "pool:shared"),
    _m("node", Kind.TEXT, "node", "the relay that took it", "node:mw1"),
    _m("sandbox", Kind.FLAG, "coalesce(sandbox, false)", "to addresses of the sandbox only", "sandbox:Y"),
    _m("stopped", Kind.FLAG, "(action <> 'accept')", "held or refused when it came", "stopped:Y"),
    _m("released", Kind.FLAG, _within("held_event", "event = 'released'"), "freed after a hold", "released:Y"),
    _m("complained", Kind.FLAG, _within("complaint", "true"), "a recipient complained", "complained:Y"),
    _m("spam", Kind.FLAG, _within("label_known", "label = 'spam'"), "known to be spam", "spam:Y AND action:accept"),
    _m("ham", Kind.FLAG, _within("label_known", "label = 'ham'"), "known to be no spam", "ham:Y AND action:hold"),
    _o("outcome", Kind.CHOICE, "outcome", "what became of it for this recipient", "outcome:bounced,expired", OUTCOMES),
    _o("delivered", Kind.FLAG, "(outcome = 'delivered')", "the next hop took it", "delivered:N"),
    _o("bounced", Kind.FLAG, "(outcome IN ('bounced', 'expired'))", "it failed for good", "bounced:Y"),
    _o("deferred", Kind.FLAG, _WAS_DEFERRED, "at least one try failed for now", "deferred:Y"),
    _o("rcpt_bad", Kind.FLAG, _NO_MAILBOX, "the address was refused as one that does not exist", "rcpt_bad:Y"),
    _o("class", Kind.TEXT, "class", "the class of the reply that refused it", "class:BadMailbox"),
    _o("code", Kind.NUMBER, "code", "the last reply's code", "code:>=500"),
    _o("enhanced", Kind.TEXT, "enhanced", "the last reply's enhanced code", "enhanced:5.1.*"),
    _o("reply", Kind.PART, "reply", "what the last reply has in it", "reply:blocklist"),
    _o("destination", Kind.TEXT, "destination", "the queue it was delivered through", "destination:gmail.com"),
    _o("remote", Kind.TEXT, "remote", "the host or address it was given to", "remote:198.51.100.*"),
    _o("source", Kind.TEXT, "source", "our address that delivered it", "source:203.0.113.7"),
    _o("tls", Kind.TEXT, "out_tls", "how the delivery was encrypted", "tls:TLSv1.3*"),
    _o("tries", Kind.NUMBER, "tries", "how often its delivery was tried", "tries:>3"),
    _o("delay", Kind.SECONDS, "queued_seconds", "from reception to its end, with s, m, h or d", "delay:>10m"),
)


def _feature(name: str, sql_type: str) -> Field | None:
    kinds = {"BIGINT": Kind.NUMBER, "DOUBLE": Kind.NUMBER, "BOOLEAN": Kind.FLAG, "VARCHAR": Kind.TEXT}
    kind = kinds.get(sql_type)
    if kind is None:
        return None
    value = {Kind.NUMBER: ">0", Kind.FLAG: "Y", Kind.TEXT: "*"}[kind]
    words = name.replace("_", " ")
    return _m(f"f_{name}", kind, f"f_{name}", f"the feature {words}", f"f_{name}:{value}")


FEATURE_FIELDS = tuple(field for name, kind in FEATURES.items() if (field := _feature(name, kind)))
# MailChannels' names for what has another one here; written in a query they mean the same.
ALIASES = {
    "date": "time",
    "rcpt": "to",
    "sender_id": "sender",
    "envelope_sender": "from",
    "transaction_id": "id",
    "message_id": "header_id",
    "smtp_code": "code",
}
_ELSEWHERE = {"spam_disposition": "write `score:>0.9`, or `action:hold`", "lastcmd": "write `outcome:refused`"}
FIELDS = {field.name: field for field in (*_NAMED, *FEATURE_FIELDS)}


def nearest(name: str) -> str:
    """What to write instead of a field there is not."""
    if known := _ELSEWHERE.get(name.lower()):
        return known
    near = get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"the fields are {', '.join(field.name for field in _NAMED)}; for a text with a colon in it, quote it"
