"""The command `webhook`: endpoints that are called when something happens, and the log of those calls."""

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell


@click.group()
def webhook() -> None:
    """Endpoints that are called when senders are stopped or alarms raised."""


@webhook.command("add")
@click.argument("url")
@click.option("--account", default="", help="What happens to this account.")
@click.option(
    "--global", "is_global", is_flag=True, help="What happens to all accounts, and alarms of the relay itself."
)
@click.option("--condition", "conditions", multiple=True, help="Only this condition; may be repeated. Default: all.")
@as_json_option
@dry_run_option
@click.pass_obj
def webhook_add(
    context: Context,
    url: str,
    account: str,
    is_global: bool,
    conditions: tuple[str, ...],
    as_json: bool,
    dry_run: bool,
) -> None:
    """Have URL called; print the secret its calls are signed with, this once."""
    from relay.control.webhook_views import NewWebhook

    if bool(account) == is_global:
        raise click.UsageError("give --account or --global")
    new = NewWebhook(url=url, account=account, conditions=list(conditions), dry_run=dry_run)
    added = ask(context, lambda relay: relay.add_webhook(new))
    lines = [f"{'would call' if dry_run else 'calls'} {url} for {account or 'all accounts'}"]
    if added.secret:
        lines += [f"webhook: {added.webhook.id}", f"secret:  {added.secret}    (shown this once)"]
    tell(added, as_json, *lines)


@webhook.command("ls")
@as_json_option
@click.pass_obj
def webhook_ls(context: Context, as_json: bool) -> None:
    """List endpoints."""
    from relay.control import show

    found = ask(context, lambda relay: relay.webhooks())
    if as_json:
        show.as_json(found)
        return
    rows = [(one.id, one.account or "(all)", one.url, ", ".join(one.conditions) or "(all)") for one in found]
    show.table(("webhook", "account", "url", "conditions"), rows, "no webhooks; add one with: mailweir webhook add")


@webhook.command("rm")
@click.argument("webhook_id", metavar="WEBHOOK")
@as_json_option
@dry_run_option
@click.pass_obj
def webhook_rm(context: Context, webhook_id: str, as_json: bool, dry_run: bool) -> None:
    """Call an endpoint no more. Adding it again gives it another secret."""
    from relay.control.webhook_views import WebhookRemoval

    removed = ask(context, lambda relay: relay.remove_webhook(webhook_id, WebhookRemoval(dry_run=dry_run)))
    tell(removed, as_json, f"{'would remove' if dry_run else 'removed'} {webhook_id}, {removed.webhook.url}")


@webhook.command("test")
@click.argument("webhook_id", metavar="WEBHOOK")
@as_json_option
@click.pass_obj
def webhook_test(context: Context, webhook_id: str, as_json: bool) -> None:
    """Call an endpoint once from here, with the condition webhook_test; say what it answered.

    The call is signed like any other, and is not in the log. Exit code 1 when the endpoint did not take it.
    """
    from analytics.webhooks.trial import call_once
    from relay.control import show

    keys = ask(context, lambda relay: relay.webhook_keys())
    key = next((one for one in keys if one.id == webhook_id), None)
    if key is None:
        raise click.ClickException(f"there is no webhook {webhook_id!r}; `mailweir webhook ls` shows them all")
    answer = call_once(context.settings(), key)
    if as_json:
        show.as_json(answer)
    else:
        click.echo(f"{key.url}: {answer.error or f'answered {answer.code}'} after {answer.seconds:.3f} s")
    click.get_current_context().exit(0 if answer.is_delivered else 1)


@webhook.command("log")
@click.argument("webhook_id", metavar="[WEBHOOK]", default="")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@as_json_option
@click.pass_obj
def webhook_log(context: Context, webhook_id: str, limit: int, as_json: bool) -> None:
    """List the calls of the last day, youngest first."""
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin") as client:
        calls = client.table("webhook_calls", webhook=webhook_id).to_pylist()[:limit]
    if as_json:
        show.as_json(calls)
        return
    rows = [
        (row["logged_at"], row["webhook"], row["condition"], row["sender"], row["event_id"], row["attempt"], _how(row))
        for row in calls
    ]
    show.table(
        ("at (UTC)", "webhook", "condition", "sender", "event", "attempt", "how"), rows, "no calls in the last day"
    )


def _how(row: dict[str, object]) -> str:
    if row["is_delivered"]:
        return f"answered {row['code']}"
    return f"{row['error']}{'; given up' if row['is_final'] and row['attempt'] else ''}"
