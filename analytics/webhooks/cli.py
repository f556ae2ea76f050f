"""The command `webhook`: endpoints that are called when something happens, and the log of those calls."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell

if TYPE_CHECKING:
    from analytics.webhooks.listening import Heard


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
    from relay.control.webhooks.views import NewWebhook

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
    from relay.control.webhooks.views import WebhookRemoval

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


@webhook.command("listen")
@click.argument("webhook_id", metavar="[WEBHOOK]", default="")
@click.option("--port", type=click.IntRange(0, 65_535), default=8090, show_default=True, help="On loopback; 0: any.")
@click.option("--secret", envvar="MAILWEIR_WEBHOOK_SECRET", default="", help="Better by MAILWEIR_WEBHOOK_SECRET.")
@click.option("--status", type=click.IntRange(200, 599), default=204, show_default=True, help="What it answers.")
@click.option("--count", type=click.IntRange(0), default=0, help="End after so many calls; 0: by Ctrl-C.")
@as_json_option
@click.pass_obj
def webhook_listen(context: Context, /, webhook_id: str, **options: Any) -> None:
    """Receive calls here, show each, and say whether its signature holds. For trying things out.

    With WEBHOOK its secret is asked from the relay; without one, and without --secret, signatures are not looked at.
    Wrong calls are answered 400. Loopback must be among webhooks.private_networks. Exit code 1 when one was wrong.
    """
    from analytics.webhooks.listening import Heard, Listener

    faults: list[str] = []

    def show_call(heard: Heard) -> None:
        faults.extend([heard.fault] if heard.fault else [])
        click.echo(_call_in_words(heard, is_checked=bool(secret), as_json=options["as_json"]))

    secret = _secret_of(context, webhook_id) if webhook_id else options["secret"]
    listener = Listener(options["port"], secret, show_call, status=options["status"], most=options["count"])
    click.echo(f"listening on {listener.url}; add it with: mailweir webhook add {listener.url} --global", err=True)
    try:
        listener.serve()
    except KeyboardInterrupt:
        click.echo(err=True)
    click.get_current_context().exit(1 if faults else 0)


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


def _secret_of(context: Context, webhook_id: str) -> str:
    keys = ask(context, lambda relay: relay.webhook_keys())
    found = next((one.secret for one in keys if one.id == webhook_id), None)
    if found is None:
        raise click.ClickException(f"there is no webhook {webhook_id!r}; `mailweir webhook ls` shows them all")
    return found


def _call_in_words(heard: "Heard", *, is_checked: bool, as_json: bool) -> str:
    import json

    if as_json:
        fields = {"path": heard.path, "event_id": heard.event_id, "fault": heard.fault, "body": heard.body}
        return json.dumps(fields)
    said = f"WRONG: {heard.fault}" if heard.fault else "signature holds" if is_checked else "signature not looked at"
    return f"POST {heard.path} event={heard.event_id} {said}\n{json.dumps(heard.body, indent=2)}"


def _how(row: dict[str, object]) -> str:
    if row["is_delivered"]:
        return f"answered {row['code']}"
    return f"{row['error']}{'; given up' if row['is_final'] and row['attempt'] else ''}"
