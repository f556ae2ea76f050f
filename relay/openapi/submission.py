"""The document of the public web listener: mail by HTTP, and the pages behind links in mails."""

from typing import Any

from relay.front.compose import Letter
from relay.front.web.answers import MessageAnswer, WebProblem
from relay.openapi.document import About, document
from relay.openapi.reading import Operation

_ABOUT = About(
    title="Mailweir submission API",
    text="Mail from applications, by the same logins, limits and verdict as SMTP (docs/http.md).",
    server="http://127.0.0.1:8027",
    problem=WebProblem,
    security={"token": {"type": "http", "scheme": "bearer"}, "login": {"type": "http", "scheme": "basic"}},
)
_SEND = "POST", "/v1/messages"
_PAGES = {
    "/u/{token}": ("unsubscribe", "the List-Unsubscribe link of a mail; POST is one click (RFC 8058)"),
    "/r/{token}": ("release", "the link of a notice, by which an account's contact releases its sender"),
}
_LEFT = ("RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def submission_document() -> dict[str, Any]:
    """Return the document."""
    operations = [
        Operation("GET", "/healthz", "healthz", "Whether the listener answers.", 200),
        Operation("GET", "/openapi.json", "openapi", "This document.", 200),
        Operation(*_SEND, "send", "Hand over one message. 202: it is on disk.", 202, Letter, MessageAnswer),
        *(
            Operation(method, path, f"{name}_{verb}", f"For people: {text}.", 200)
            for path, (name, text) in _PAGES.items()
            for method, verb in (("GET", "page"), ("POST", "confirm"))
        ),
    ]
    written = document(
        _ABOUT, operations, {(each.method, each.path): {"security": []} for each in operations if _is_open(each)}
    )
    _describe_sending(written["paths"][_SEND[1]]["post"])
    return written


def _is_open(operation: Operation) -> bool:
    return (operation.method, operation.path) != _SEND


def _describe_sending(item: dict[str, Any]) -> None:
    """What JSON's types do not say: the other form of the body, the key, the quota."""
    item["requestBody"]["content"]["message/rfc822"] = {
        "schema": {"type": "string", "contentMediaType": "message/rfc822"},
    }
    item["parameters"] = [
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
        *(
            {"name": name, "in": "query", "description": f"with message/rfc822: {text}", "schema": schema}
            for name, text, schema in (
                ("from", "the envelope sender", {"type": "string"}),
                ("to", "a recipient, may be repeated", {"type": "array", "items": {"type": "string"}}),
            )
        ),
    ]
    item["responses"]["202"]["headers"] = {
        "Idempotency-Replayed": {"schema": {"type": "string"}},
        **{name: {"schema": {"type": "string"}} for name in _LEFT},
    }
