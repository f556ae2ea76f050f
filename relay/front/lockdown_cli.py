"""The command `lockdown`: what a domain's owner has published, and what he would publish."""

import asyncio
from typing import TYPE_CHECKING

import click

from relay.cli import Context

if TYPE_CHECKING:
    from relay.front.lockdown import Answer
    from relay.policy.verdict.lockdown import LockdownResult
    from relay.settings import Settings

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def lockdown() -> None:
    """Domain owners' TXT records: check one, write one.

    A domain with such a record is used by whom it names, and by nobody else.
    """


@lockdown.command("check")
@click.argument("domain")
@click.option("--account", default="", help="May this account use it?")
@click.option("--sender", default="", help="May this sender (account|kind|value)?")
@_json
@click.pass_obj
def check(context: Context, domain: str, account: str, sender: str, as_json: bool) -> None:
    """Ask DNS who may use DOMAIN; with --account or --sender, exit 1 when they may not."""
    from relay.control import show
    from relay.control.checks import checked_domain

    domain = checked_domain(domain)
    account = account or sender.partition("|")[0]
    answer, result = asyncio.run(_asked(context.settings(), domain, account, sender))
    if as_json:
        records = [f"{record.name}: {record.text}" for record in answer.records]
        verdict = {"lock": result.lock.value, "record": result.record} if account else {}
        show.as_json({"domain": domain, "records": records, "error": answer.error} | verdict)
    else:
        _tell(answer, result, sender or account)
    if account and not result.is_passed:
        raise click.exceptions.Exit(1)


@lockdown.command("record")
@click.argument("account")
@click.option("--sender", default="", help="Only this sender: account|kind|value, or a value of any kind.")
@_json
@click.pass_obj
def record(context: Context, account: str, sender: str, as_json: bool) -> None:
    """Print the TXT record that lets ACCOUNT use a domain, and nobody else."""
    from relay.control import show
    from relay.domains.records import txt_strings
    from relay.policy.verdict.lockdown import record_for

    if sender and "|" not in sender:
        sender = f"{account}|*|{sender}"
    if sender and sender.partition("|")[0] != account:
        raise click.UsageError(f"the sender {sender!r} is not one of account {account!r}")
    label, text = context.settings().lockdown.labels[0], record_for(account, sender)
    if as_json:
        show.as_json({"label": label, "text": text})
    else:
        click.echo(f"{label}.DOMAIN. 300 IN TXT {txt_strings(text)}")


async def _asked(settings: "Settings", domain: str, account: str, sender: str) -> "tuple[Answer, LockdownResult]":
    from relay.clock import SystemClock
    from relay.front.lockdown import Lockdown

    on = settings.model_copy(update={"lockdown": settings.lockdown.model_copy(update={"mode": "on"})})
    asked = Lockdown(on, SystemClock())
    result = await asked.check([domain], account, sender)
    return await asked.answer(domain.strip(".").lower()), result


def _tell(answer: "Answer", result: "LockdownResult", who: str) -> None:
    from relay.control import show

    for found in answer.records:
        click.echo(show.clean(f"{found.name}: {found.text}"))
    if answer.error:
        click.echo(show.clean(answer.error))
    elif not answer.records:
        click.echo("no record: anybody may use the domain")
    if who:
        click.echo(show.clean(f"{who}: {result.lock.value}{f' ({result.record})' if result.record else ''}"))
