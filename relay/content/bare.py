"""The content stage of a relay that neither scores nor signs: header fields are read and repaired, in main, at once.

No processes, no body is looked at. A loop is still seen, and Date and Message-ID are still added where missing.
"""

from relay.content.additions import additions
from relay.content.head import split_head
from relay.content.protocol import ContentRequest, ContentResult
from relay.content.text import decode_header
from relay.content.workers import PoolStats
from relay.events import Features

_CHARACTERS = 300


class BareContent:
    """Stands where a ContentPool would."""

    def __init__(self) -> None:
        self._read = 0

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def reload(self, model: str) -> None:
        """Nothing to take up: content.model = "none" is read at start only."""

    def stats(self) -> PoolStats:
        return PoolStats(workers=0, queued=0, restarts=0, scored=0)

    async def assess(self, request: ContentRequest) -> ContentResult:
        """Return header fields and repairs, without a score."""
        head = split_head(request.content)
        names = {name for name, _ in head.fields}
        added = additions(request, head)
        first = {name.lower(): value for name, value in reversed([*added.repairs, *head.fields])}
        return ContentResult(
            score=None,
            model="none",
            reasons=[],
            features=Features(
                received_headers=sum(name == b"received" for name, _ in head.fields),
                headers=len(head.fields),
                has_date=b"date" in names,
                has_message_id=b"message-id" in names,
            ),
            prefix=added.lines(),
            prefixes=[added.lines(own) for own in added.own],
            subject=_text(first, b"subject"),
            header_from=_text(first, b"from"),
            header_message_id=_text(first, b"message-id"),
        )


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return decode_header(fields.get(name, b"")[:2000]).strip()[:_CHARACTERS]
