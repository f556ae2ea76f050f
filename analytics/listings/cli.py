"""What analytics adds to the command `ip`: what lists say, and who caused it."""

from datetime import datetime
from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option
from relay.control.egress.cli import ip


@ip.command("listings")
@click.option("--domains", is_flag=True, help="Of customers' domains instead.")
@as_json_option
@click.pass_obj
def ip_listings(context: Context, domains: bool, as_json: bool) -> int:
    """Show what DNS lists say of our addresses, and whether the lists are well.

    Exit code 1 when a listing is confirmed.
    """
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("listings", entity_kind="domain" if domains else "").to_pylist()
    if as_json:
        show.as_json(rows)
    else:
        show.table(
            ("what", "list", "says", "counts", "since (UTC)", "asked (UTC)", "answer"),
            [_listing(row) for row in rows],
            "no list was asked yet: name some in dnsbl.zones, and run `mailweir jobs run listings`",
        )
    return 1 if any(row["confirmed"] for row in rows) else 0


@ip.command("events")
@as_json_option
@click.pass_obj
def ip_events(context: Context, as_json: bool) -> None:
    """Show when lists or destinations' replies named our addresses, in the last week."""
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("ip_events").to_pylist()
    if as_json:
        show.as_json(rows)
        return
    show.table(
        ("address", "by", "blames", "first (UTC)", "last (UTC)", "times", "text"),
        [
            (
                row["address"],
                row["place"],
                row["blames"],
                _instant(row["first_at"]),
                _instant(row["last_at"]),
                row["times"],
                show.clean(row["text"] or "")[:60],
            )
            for row in rows
        ],
        "no list and no destination has named our addresses",
    )


@ip.command("culprits")
@click.argument("address")
@click.option("--at", "moment", default="", metavar="INSTANT", help="When it happened. [default: the last listing]")
@click.option("--destination", default="", help="Only mail that went there: for what one provider says.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@as_json_option
@click.pass_obj
def ip_culprits(context: Context, address: str, moment: str, destination: str, limit: int, as_json: bool) -> None:
    """Rank who caused that an address was listed or blocked, by the mail of the 24 hours before.

    Probabilities add up to 1 with the last line, somebody else. docs/listings.md says how they come about.
    """
    from analytics.client import QueryClient
    from relay.control import show

    given = {"address": address, "moment": _checked(moment), "destination": destination, "limit": limit}
    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("culprits", **given).to_pylist()
    if as_json:
        show.as_json(rows)
        return
    click.echo(f"{address}, mail of the 24 h before {_instant(rows[-1]['until_at'])} UTC")
    show.table(
        ("probability", "sender", "mails", "spam", "complaints", "like traps", "never seen"),
        [_culprit(row) for row in rows],
        "",
    )


def _listing(row: dict[str, Any]) -> tuple[object, ...]:
    counts = "" if row["entity_kind"] == "list" else "yes" if row["confirmed"] else "no"
    what = "(its health)" if row["entity_kind"] == "list" else row["address"]
    return (
        what,
        row["zone"],
        row["status"],
        counts,
        _instant(row["since_at"]),
        _instant(row["checked_at"]),
        f"{row['answer']} {' '.join(row['codes'] or ())}".strip(),
    )


def _culprit(row: dict[str, Any]) -> tuple[object, ...]:
    from relay.control import show

    who = show.clean(row["sender"]) if row["sender"] else "(somebody else)"
    spam = "" if row["spam"] is None else f"{row['spam']:.1f}"
    counts = ("" if row[name] is None else row[name] for name in ("complaints", "traps", "strangers"))
    return (f"{row['probability']:.1%}", who, row["mails"], spam, *counts)


def _checked(moment: str) -> str:
    if not moment:
        return ""
    try:
        return datetime.fromisoformat(moment).isoformat()
    except ValueError:
        raise click.BadParameter(f"{moment!r}: write it like 2026-11-24T09:00:00Z", param_hint="--at") from None


def _instant(value: datetime | None) -> str:
    return f"{value:%F %T}" if value else ""
