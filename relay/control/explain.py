"""`mailweir why`: the sentence, the evidence and the trace. Asks the relay, then reads this node's own journal."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from relay.control import show
from relay.control.client import ControlClient, ControlError
from relay.control.views import HeldView
from relay.events import Attempt, Attributed, Deferral, Dropped, Judged, Reception, Record, Rejection, Released, decode
from relay.places.place import Place
from relay.settings import Settings

# Newest files first, and no further back: about an hour of a busy node. What is older, the dashboard finds faster.
_MAX_FILES = 4000


def decision(settings: Settings, decision_id: str, *, as_json: bool) -> None:
    with ControlClient.of(settings) as relay:
        view = relay.decision(decision_id)
    show.as_json(view) if as_json else show.why(view)


def sender(settings: Settings, key: str, *, as_json: bool) -> None:
    with ControlClient.of(settings) as relay:
        view = relay.sender(key)
    if as_json:
        show.as_json(view)
        return
    show.sender(view)
    if view.decision:
        click.echo("")
        show.why(view.decision)


def message(settings: Settings, message_id: str, *, as_json: bool) -> None:
    """What the relay still knows of a message. Raises ControlError when that is nothing."""
    held, refusal = _held(settings, message_id)
    found = story(settings.journal_dir, message_id)
    if held is None and not found:
        raise refusal or ControlError(404, f"nothing is known of {message_id}")
    if as_json:
        show.as_json({"held": held, "records": found})
        return
    tell(found)
    if held is not None:
        click.echo(f"held now, since {show.clean(held.received_at)} UTC (rule {held.rule})")
        if held.decision_id:
            decision(settings, held.decision_id, as_json=False)


def story(journal_dir: Path, needle: str) -> list[Record]:
    """The journaled records of one message, found by its id or Message-ID, in order."""
    wanted = msgspec.json.encode(needle)
    records = {
        (record.boot, record.seq): record
        for path in _newest_files(journal_dir)
        for record in _matching(path, wanted)
        if _is_about(record, needle)
    }
    return sorted(records.values(), key=lambda record: (record.logged_at, record.seq))


def tell(records: Iterable[Record]) -> None:
    """Print records as a story, with the verdict's trace."""
    for record in records:
        click.echo(show.clean(_line(record)))
        if isinstance(record, Judged):
            _print_trace(record)


def _line(record: Record) -> str:
    return f"{show.clean(record.logged_at)}  {_event(record)}"


def _event(record: Record) -> str:
    match record:
        case Rejection():
            return f"refused at {record.stage} by rule {record.rule}: {record.code} {record.enhanced} {record.text}"
        case Reception():
            place = str(Place(record.country, record.asn))
            came = f"{record.client_ip} ({place})" if place else record.client_ip
            where = f"{record.size_bytes} bytes from {came} for sender {record.sender}"
            return f"{record.action.value} as {record.message_id} by rule {record.rule}: {where}"
        case Deferral():
            return f"{_try(record)}; next try {show.clean(record.due_at)} UTC"
        case Attempt():
            return _try(record)
        case Released():
            return f"released by {record.author} ({record.verdict})"
        case Dropped():
            return f"dropped by {record.author}: {record.reason}"
        case _:
            return type(record).__name__.lower()


def _try(record: Attempt) -> str:
    kind = type(record).__name__.lower()
    reply = f"{record.code or ''} {record.enhanced} {record.text}".strip()
    tls = f", {record.tls}" if record.tls else ""
    return f"{kind} of {record.recipient} at {record.remote or record.destination}{tls}, try {record.attempt}: {reply}"


def _print_trace(record: Judged) -> None:
    score = "none" if record.score is None else f"{record.score:.3f} ({record.model})"
    click.echo(f"    score {score}{': ' if record.reasons else ''}{show.clean('; '.join(record.reasons))}")
    if record.same_text_senders > 1:
        click.echo(f"    {record.same_text_senders} end senders sent this or nearly this text within minutes")
    for step in record.trace:
        click.echo(f"    {'=>' if step.decided else '  '} {step.rule}: {show.clean(step.detail)}")


def _held(settings: Settings, message_id: str) -> tuple[HeldView | None, ControlError | None]:
    try:
        with ControlClient.of(settings) as relay:
            return relay.message(message_id), None
    except ControlError as error:
        return None, error


def _newest_files(journal_dir: Path) -> Sequence[Path]:
    files = [path for path in journal_dir.rglob("relay-*.jsonl") if path.parent.name != "aside"]
    return sorted(files, key=lambda path: path.name)[-_MAX_FILES:]


def _matching(path: Path, wanted: bytes) -> Iterator[Record]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # analytics has just merged it into the archive
        return
    for line in content.splitlines() if wanted in content else ():
        if wanted in line:
            try:
                yield decode(line)
            except msgspec.DecodeError:  # a corrupt line is for ingestion to report
                continue


def _is_about(record: Record, needle: str) -> bool:
    if isinstance(record, Judged) and record.header_message_id == needle:
        return True
    return isinstance(record, Attributed) and record.message_id == needle
