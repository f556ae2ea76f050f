"""How the command line prints held mail. Must never print raw what a mail says."""

from collections.abc import Sequence

import click

from relay.control.checks import shell
from relay.control.show import clean, table
from relay.holds.views import Freed, HeldContent, HeldGroupView, HeldView, Removed


def messages(views: Sequence[HeldView]) -> None:
    table(
        ("message", "received (UTC)", "sender", "cluster", "score", "rule", "rcpts", "subject"),
        (
            (
                view.message_id,
                view.received_at,
                view.sender,
                view.cluster or None,
                view.score,
                view.rule,
                len(view.recipients),
                view.subject[:60],
            )
            for view in views
        ),
        "nothing is held",
    )


def groups(views: Sequence[HeldGroupView], by: str) -> None:
    table(
        (by, "messages", "rcpts", "senders", "score", "since (UTC)", "last (UTC)", "latest subject"),
        (
            (
                view.key or None,
                view.messages,
                view.recipients,
                view.senders,
                _range(view.score_from, view.score_to),
                view.first_at,
                view.last_at,
                view.subject[:60],
            )
            for view in views
        ),
        "nothing is held",
    )


def content(found: HeldContent) -> None:
    """A message, its headers, and below an empty line its text."""
    view = found.message
    held_for = "what it says itself" if view.is_own else "its sender"
    click.echo(f"{view.message_id} of {clean(view.sender)}, held for {held_for} (rule {view.rule})")
    click.echo(f"to {', '.join(clean(recipient) for recipient in view.recipients[:10])}")
    if view.fingerprint:
        exempt = shell("sender", "exempt", view.sender, "--text", view.fingerprint, "--for", "7d", "--reason", "...")
        click.echo(f"let its text pass from now on: {clean(exempt)}")
    for line in found.headers:
        click.echo(f"  {clean(line)}")
    if found.text:
        click.echo("")
        for line in found.text.splitlines():
            click.echo(clean(line))


def freed(result: Freed) -> None:
    would = "would free" if result.dry_run else "freed"
    ended = f", ended {', '.join(result.decisions)}" if result.decisions else ""
    label = " as not spam" if result.verdict == "not_spam" else ""
    leaves = f"; the last leaves at {result.last_at:%Y-%m-%d %H:%M} UTC" if result.last_at else ""
    click.echo(f"{would} {result.messages} messages ({result.recipients} recipients){label}{ended}{leaves}")
    if result.kept:
        click.echo(
            f"{result.kept} stay held for what they say themselves, or score like it: see `held ls --sender`, "
            "and free them by `held release` with --all or --message"
        )
    if result.later:
        click.echo(
            f"{result.later} stay held: at this pace they would leave in more than a day; repeat it, or use --now"
        )
    _told_rest(result.is_cut, result.undo if not result.dry_run else "")


def removed(result: Removed) -> None:
    click.echo(f"{'would drop' if result.dry_run else 'dropped'} {result.messages} messages")
    _told_rest(result.is_cut, "" if result.dry_run or not result.messages else "none, they are deleted")


def _told_rest(is_cut: bool, undo: str) -> None:
    if is_cut:
        click.echo("more fit than one order takes; repeat it")
    if undo:
        click.echo(f"undo: {undo}")


def _range(low: float | None, high: float | None) -> str | None:
    if low is None or high is None:
        return None
    return f"{low:.2f}" if high - low < 0.005 else f"{low:.2f}..{high:.2f}"
