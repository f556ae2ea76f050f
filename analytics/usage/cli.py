"""The command `usage`, asked of the running analytics."""

import json
import sys
from typing import Any

import click

from relay.cli import Context

_PRINTED = ("reseller", "account", "begins", "messages", "recipients", "bytes", "held", "delivered", "bounced")


@click.command()
@click.option("--month", default="", metavar="YYYY-MM", help="Of which month (UTC). [default: the current one]")
@click.option("--by", type=click.Choice(["month", "day"]), default="month", show_default=True, help="One row per.")
@click.option("--reseller", default="", help="Only of this reseller.")
@click.option("--account", default="", help="Only of this account.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with all columns.")
@click.option("--json", "as_json", is_flag=True, help="For other programs.")
@click.pass_obj
def usage(context: Context, month: str, by: str, reseller: str, account: str, as_csv: bool, as_json: bool) -> None:
    """A month's mail by reseller and account: messages, recipients, bytes, and what became of them.

    Each thing counts on the day it happened (UTC). Mail to the sandbox and the relay's own reports count for nobody.
    """
    records = _asked(context, month=month, by=by, reseller=reseller, account=account)
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False))
        return
    if as_csv:
        from analytics.usage.sheet import csv_of

        sys.stdout.buffer.write(csv_of(records).encode())
        return
    from relay.control import show

    total = [sum(row[name] for row in records) for name in _PRINTED[3:]]
    rows = [tuple(row[name] for name in _PRINTED) for row in records]
    show.table(_PRINTED, [*rows, ("all", "", "", *total)] if rows else [], "no mail in this month")


def _asked(context: Context, **params: str) -> list[dict[str, Any]]:
    from analytics.client import QueryClient, QueryError
    from analytics.usage.sheet import CutShort, records_of

    with QueryClient.of(context.settings(), "admin", timeout_seconds=60) as client:
        try:
            return records_of(client.table("usage", **params))
        except (QueryError, CutShort) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
