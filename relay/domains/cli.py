"""The command `domain`: customers' domains, their keys and their records. Works before the first start too."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, tell

if TYPE_CHECKING:
    from relay.domains.views import DomainView

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `domain --help` needs none.

_ALGORITHMS = click.Choice(["rsa-2048", "ed25519"])  # delivery.algorithm
_account = click.option("--account", default="", help="Whose, where several accounts have the domain.")


@click.group()
def domain() -> None:
    """Customers' domains: their DKIM keys and DNS records.

    Mail is signed with a domain's key once its record was seen in DNS. Works before the first start too.
    """


@domain.command("add")
@click.argument("account")
@click.argument("name", metavar="DOMAIN")
@click.option(
    "--algorithm",
    "algorithms",
    type=_ALGORITHMS,
    multiple=True,
    default=["rsa-2048"],
    show_default=True,
    help="Of its key; give both for two signatures.",
)
@click.option("--return-path", metavar="HOST", help="A name below DOMAIN that takes its bounces; '': none.")
@as_json_option
@dry_run_option
@click.pass_obj
def domain_add(context: Context, /, **options: Any) -> None:
    """Let ACCOUNT send for DOMAIN; print the records to publish.

    For a domain the account has already, what is missing is made: a key, a return path.
    """
    from relay.delivery.signing.algorithm import Algorithm
    from relay.domains.views import NewDomain

    new = NewDomain(
        account=options["account"],
        domain=options["name"],
        algorithms=tuple(Algorithm(name) for name in options["algorithms"]),
        return_path_host=options["return_path"],
        dry_run=options["dry_run"],
    )
    view = ask_desk(context, lambda desk: desk.add_domain(new))
    would = "would add" if new.dry_run else "added"
    head = f"{would} domain {view.domain} of account {view.account}. Publish in its zone:"
    tell(view, options["as_json"], head, *_zone(view), f"then: mailweir domain check {view.domain}")


@domain.command("ls")
@click.option("--account", default="", help="Only of this account.")
@as_json_option
@click.pass_obj
def domain_ls(context: Context, account: str, as_json: bool) -> None:
    """List domains and how their mail is signed."""
    from relay.control import show

    views = ask_desk(context, lambda desk: desk.domains(account))
    if as_json:
        show.as_json(views)
        return
    rows = ((view.domain, view.account, _signed(view), view.verified_at, _bounces(view)) for view in views)
    none = "no domains; add one with: mailweir domain add ACCOUNT DOMAIN"
    show.table(("domain", "account", "signed", "verified (UTC)", "return path"), rows, none)


@domain.command("show")
@click.argument("name", metavar="DOMAIN")
@_account
@as_json_option
@click.pass_obj
def domain_show(context: Context, name: str, account: str, as_json: bool) -> None:
    """Show a domain: its keys, and all records to publish."""
    from relay.control import show

    view = ask_desk(context, lambda desk: desk.domain(name, account))
    if as_json:
        show.as_json(view)
        return
    click.echo(f"{view.domain} of account {view.account}: {_signed(view)}; return path {_bounces(view)}")
    rows = (
        (key.selector, key.algorithm.value, key.state.value, key.created_at, key.seen_at, key.keep_until)
        for key in view.keys
    )
    columns = ("selector", "algorithm", "state", "made (UTC)", "seen (UTC)", "record must stay until (UTC)")
    show.table(columns, rows, "no keys")
    for line in _zone(view):
        click.echo(line)


@domain.command("rm")
@click.argument("name", metavar="DOMAIN")
@_account
@as_json_option
@dry_run_option
@click.pass_obj
def domain_rm(context: Context, name: str, account: str, as_json: bool, dry_run: bool) -> None:
    """Take a domain from its account; nothing is signed for it any more."""
    from relay.domains.views import DomainOrder

    view = ask_desk(context, lambda desk: desk.remove_domain(name, DomainOrder(account=account, dry_run=dry_run)))
    would = "would take" if dry_run else "took"
    tell(view, as_json, f"{would} domain {view.domain} from account {view.account}")


@domain.command("check")
@click.argument("name", metavar="DOMAIN")
@_account
@as_json_option
@dry_run_option
@click.pass_context
def domain_check(ctx: click.Context, name: str, account: str, as_json: bool, dry_run: bool) -> None:
    """Ask DNS for everything that DOMAIN needs; exit 1 when something is wrong.

    Keys whose record is seen sign from now on; --dry-run only looks.
    """
    from relay.control import show
    from relay.domains.views import DomainOrder

    order = DomainOrder(account=account, dry_run=dry_run)
    report = ask_desk(ctx.obj, lambda desk: desk.check_domain(name, order))
    if as_json:
        show.as_json(report)
    else:
        for line in report.lines:
            mark = line.finding.value if line.is_needed or line.finding.value == "ok" else f"({line.finding.value})"
            click.echo(show.clean(f"{mark:<9} {line.what}: {line.text}"))
            if line.finding.value != "ok":
                click.echo("".join(f"{'':10}{label}: {show.clean(text)}\n" for label, text in _seen(line)), nl=False)
        _tell_keys(report, dry_run=dry_run)
    if not report.is_ok:
        ctx.exit(1)


@domain.group("dkim")
def dkim() -> None:
    """A domain's DKIM keys: rotate, rm."""


@dkim.command("rotate")
@click.argument("name", metavar="DOMAIN")
@click.option("--algorithm", type=_ALGORITHMS, default="rsa-2048", show_default=True)
@_account
@as_json_option
@dry_run_option
@click.pass_obj
def dkim_rotate(context: Context, /, **options: Any) -> None:
    """Make DOMAIN's next key; it takes over once its record is seen, by `domain check` or within an hour."""
    from relay.delivery.signing.algorithm import Algorithm
    from relay.domains.views import DomainOrder

    order = DomainOrder(
        account=options["account"], algorithm=Algorithm(options["algorithm"]), dry_run=options["dry_run"]
    )
    view = ask_desk(context, lambda desk: desk.rotate_key(options["name"], order))
    active = [key.selector for key in view.keys if key.state.value == "active"]
    lines = [f"{'would publish' if order.dry_run else 'publish'} beside the record there is:", *_zone(view)]
    if active:
        lines.append(f"until it is seen, {', '.join(active)} goes on signing: leave that record where it is")
    tell(view, options["as_json"], *lines, f"then: mailweir domain check {view.domain}")


@dkim.command("rm")
@click.argument("name", metavar="DOMAIN")
@click.argument("selector")
@_account
@as_json_option
@dry_run_option
@click.pass_obj
def dkim_rm(context: Context, /, name: str, selector: str, account: str, as_json: bool, dry_run: bool) -> None:
    """End a key for good: its private half is forgotten."""
    from relay.domains.views import DomainOrder

    order = DomainOrder(account=account, selector=selector, dry_run=dry_run)
    view = ask_desk(context, lambda desk: desk.end_key(name, order))
    lines = [f"{'would end' if dry_run else 'ended'} key {selector} of {view.domain}"]
    if until := view.keys[0].keep_until:
        lines.append(f"its record must stay until {until:%Y-%m-%d %H:%M} UTC, for mail that is still queued")
    tell(view, as_json, *lines)


def _zone(view: "DomainView") -> list[str]:
    return [line for record in view.records for line in (f"; {record.why}", record.zone_line)]


def _signed(view: "DomainView") -> str:
    active = [f"{key.selector} ({key.algorithm.value})" for key in view.keys if key.state.value == "active"]
    waiting = [key.selector for key in view.keys if key.state.value == "pending"]
    parts = ["signed with " + ", ".join(active) if active else "not signed"]
    return "; ".join([*parts, *([f"{', '.join(waiting)} not seen in DNS yet"] if waiting else [])])


def _bounces(view: "DomainView") -> str:
    if not view.return_path_host:
        return "none"
    return view.return_path_host if view.return_path_verified_at else f"{view.return_path_host} (not verified)"


def _seen(line: Any) -> list[tuple[str, str]]:
    return [(label, text) for label, text in (("there is", line.found), ("should be", line.wanted)) if text]


def _tell_keys(report: Any, *, dry_run: bool) -> None:
    would = "would sign" if dry_run else "signs"
    for selector in report.activated:
        click.echo(f"{selector} {would} from now on")
    for selector in report.retired:
        click.echo(
            f"{selector} signs no more; its record must stay until {report.keep_until:%Y-%m-%d %H:%M} UTC, when the "
            "oldest mail of the queue has gone (held mail that is released later needs it longer)"
        )
    for selector in report.waiting:
        click.echo(f"{selector} waits for its record")
