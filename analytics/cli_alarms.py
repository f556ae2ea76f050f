"""The command `alarm`: what is wrong by the programs' own word, and what people say of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, duration, tell

if TYPE_CHECKING:
    from relay.cases.views import AlarmMark, AlarmMarked, AlarmOrder
    from relay.control.client import ControlClient

_account_option = click.option("--account", default="", help="Of this account.")
_subject_option = click.option("--subject", default="", help="Only about this job, address or feed, as `ls` shows it.")
_why_option = click.option("--why", default="", help="For the others, and the audit log.")


@click.group()
def alarm() -> None:
    """Alarms of the relay and of analytics: ls, ack, silence, clear.

    They go to webhooks too (docs/webhooks.md); what is said of one here counts for the pages and lists.
    """


@alarm.command("ls")
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="Raised in so many days.")
@click.option("--open", "open_only", is_flag=True, help="Only those nobody has answered.")
@as_json_option
@click.pass_obj
def alarm_ls(context: Context, days: int, open_only: bool, as_json: bool) -> None:
    """List alarms, the latest first, with who answered them. Exit code 0 in any case."""
    from relay.control import show

    rows = [row for row in _raised(context, days) if not (open_only and row["mark"])]
    if as_json:
        show.as_json(rows)
        return
    cells = (
        (row["condition"], row["account"] or "-", row["subject"] or "-", row["logged_at"], row["times"],
         _said(row["mark"]), row["text"])
        for row in rows
    )  # fmt: skip
    columns = ("condition", "account", "subject", "last (UTC)", "times", "answered", "what")
    show.table(columns, cells, f"no alarms in {days} days")


@alarm.command("ack")
@click.argument("condition")
@_account_option
@_subject_option
@_why_option
@as_json_option
@dry_run_option
@click.pass_obj
def alarm_ack(context: Context, /, **options: Any) -> None:
    """Say that an alarm was seen. It counts again when it is raised again."""
    _order(context, options, lambda relay, order: relay.acknowledge_alarm(order), "acknowledged")


@alarm.command("silence")
@click.argument("condition")
@click.option("--for", "length", required=True, metavar="TIME", help="Like 90m, 24h, 7d; at most 90d.")
@_account_option
@_subject_option
@_why_option
@as_json_option
@dry_run_option
@click.pass_obj
def alarm_silence(context: Context, /, length: str, **options: Any) -> None:
    """Let an alarm count for nothing for a time, however often it is raised."""
    options["minutes"] = duration(length) / 60
    _order(context, options, lambda relay, order: relay.silence_alarm(order), "silenced")


@alarm.command("clear")
@click.argument("condition")
@_account_option
@_subject_option
@as_json_option
@dry_run_option
@click.pass_obj
def alarm_clear(context: Context, /, **options: Any) -> None:
    """Take back what was said of an alarm."""
    _order(context, options, lambda relay, order: relay.clear_alarm(order), "cleared")


def _order(
    context: Context,
    options: dict[str, Any],
    act: "Callable[[ControlClient, AlarmOrder], AlarmMarked]",
    past: str,
) -> None:
    from relay.cases.views import AlarmOrder

    as_json = options.pop("as_json")
    order = AlarmOrder(**options)
    done = ask(context, lambda relay: act(relay, order))
    subject = " ".join(part for part in (order.condition, order.account, order.subject) if part)
    tell(done, as_json, f"{'would be ' if order.dry_run else ''}{past}: {subject}")


def _raised(context: Context, days: int) -> list[dict[str, Any]]:
    """Each alarm with its `mark`, None while nobody has answered it."""
    from datetime import UTC, datetime, timedelta

    from analytics.client import QueryClient
    from relay.cases.alarms import mark_of

    with QueryClient.of(context.settings(), "admin") as client:
        rows: list[dict[str, Any]] = client.table("alarms", since=datetime.now(UTC) - timedelta(days=days)).to_pylist()
    marks = ask(context, lambda relay: relay.alarm_marks())
    for row in rows:
        key = (row["condition"], row["account"], row["subject"])
        row["mark"] = mark_of(marks, key, row["logged_at"])
    return rows


def _said(mark: "AlarmMark | None") -> str:
    if mark is None:
        return "nobody"
    until = f" until {mark.until:%F %H:%M}" if mark.until else ""
    return f"{mark.kind} by {mark.author}{until}"
