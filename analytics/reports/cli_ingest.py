"""The command `ingest`: files of reports to the running analytics."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, dry_run_option

_YEAR_3000 = 32_503_680_000
_KINDS = click.Choice(["dmarc", "tlsrpt", "snds", "gpt", "yahoo", "arf"])  # feeds.Feed


@click.command()
@click.argument("kind", type=_KINDS)
@click.argument("files", nargs=-1, required=True)
@as_json_option
@dry_run_option
@click.pass_obj
def ingest(context: Context, kind: str, files: Sequence[str], as_json: bool, dry_run: bool) -> None:
    """Bring reports from outside: DMARC, TLS, complaints, SNDS, Google, Yahoo.

    FILES are mails or what was attached to them, packed or not; - is standard input. The same report twice counts once.
    Exit code 1 when one was refused.
    """
    from analytics.client import QueryClient

    refused = 0
    with QueryClient.of(context.settings(), "admin") as client:
        for name, raw, error in _contents(files):
            taken = (
                {"status": "refused", "reason": error} if error else client.feed(kind, raw, name=name, dry_run=dry_run)
            )
            refused += taken["status"] == "refused"
            click.echo(json.dumps({"file": name} | taken) if as_json else f"{name}: {_line(taken)}")
    sys.exit(1 if refused else 0)


def _contents(files: Sequence[str]) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content, and why there is none."""
    for file in files:
        if file == "-":
            yield "-", sys.stdin.buffer.read(), ""
            continue
        try:
            yield Path(file).name, Path(file).read_bytes(), ""
        except OSError as error:
            yield file, b"", error.strerror or str(error)


def _line(taken: dict[str, Any]) -> str:
    if taken["status"] == "refused":
        return f"refused, {taken['reason']}"
    says = [f"{name} {_shown(name, value)}" for name, value in taken["says"].items() if value not in ("", [], None)]
    said = ", ".join(says)
    status = {"new": "taken", "known": "known already"}[taken["status"]]
    return f"{'would be ' if taken['dry_run'] else ''}{status} ({said[:300]})"


def _shown(name: str, value: Any) -> str:
    """Instants of a report are seconds since 1970; a sender may write any number there.

    >>> _shown("begin", 1337270400.0), _shown("end", -1), _shown("records", 50)
    ('2012-05-17 16:00Z', '-1', '50')
    """
    if name not in ("begin", "end") or not isinstance(value, int | float) or not 0 <= value < _YEAR_3000:
        return str(value)
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%MZ}"
