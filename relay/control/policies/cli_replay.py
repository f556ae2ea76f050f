"""The command `policy replay`: what another policy would have decided on the journal's messages."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, duration
from relay.control.policies.cli import policy

if TYPE_CHECKING:
    from relay.policy.verdict.whatif import Difference, Tally

_SHOWN_SENDERS = 20


@policy.command("replay")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--since", default="30d", show_default=True, help="How far back: 90m, 24h, 7d.")
@as_json_option
@click.pass_obj
def policy_replay(context: Context, file: Path, since: str, as_json: bool) -> None:
    """Judge the journal's messages again by a policy FILE, and count the verdicts that would differ.

    Each message is judged by what was known of its sender then. What an earlier stop, or the lack of one, would have
    changed afterwards is not followed.
    """
    from relay.control import show

    tally = _replayed(context.settings().journal_dir, file, duration(since))
    if as_json:
        show.as_json(_as_json(tally))
        return
    click.echo(
        f"{tally.judged} messages judged again, {tally.changed} otherwise; {tally.unjudged} were refused before the "
        f"verdict or have no inputs{f', {tally.unreadable} are unreadable' if tally.unreadable else ''}"
    )
    if tally.changed:
        show.table(("was", "would be", "messages", "senders"), _by_rule(tally), "")
        click.echo("")
        show.table(("sender", "was", "would be", "messages"), _by_sender(tally), "")


def _replayed(journal_dir: Path, file: Path, seconds: float) -> "Tally":
    from datetime import UTC, datetime, timedelta

    from rich.console import Console
    from rich.progress import Progress

    from relay.files import still_there
    from relay.policy.file import read
    from relay.policy.verdict.whatif import Tally, files, look_again

    other, tally = read(file.read_text(), str(file)), Tally()
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    chosen = files(journal_dir, since)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("judging again", total=sum(state.st_size for _, state in still_there(chosen)))
        for path in chosen:
            for size_bytes in look_again(path, other, since, tally):
                progress.update(task, advance=size_bytes)
    return tally


def _by_rule(tally: "Tally") -> Iterable[tuple[object, ...]]:
    senders: dict[Difference, int] = {}
    for _sender, found in tally.senders:
        senders[found] = senders.get(found, 0) + 1
    return ((*_ways(found), count, senders.get(found, 0)) for found, count in tally.differences.most_common())


def _by_sender(tally: "Tally") -> Iterable[tuple[object, ...]]:
    return ((sender, *_ways(found), count) for (sender, found), count in tally.senders.most_common(_SHOWN_SENDERS))


def _ways(found: "Difference") -> tuple[str, str]:
    return f"{found.action} ({found.rule})", f"{found.new_action} ({found.new_rule})"


def _as_json(tally: "Tally") -> dict[str, object]:
    return {
        "judged": tally.judged,
        "changed": tally.changed,
        "unjudged": tally.unjudged,
        "unreadable": tally.unreadable,
        "rules": [{"found": found, "messages": count} for found, count in tally.differences.most_common()],
        "senders": [
            {"sender": sender, "found": found, "messages": count}
            for (sender, found), count in tally.senders.most_common()
        ],
    }
