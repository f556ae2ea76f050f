"""Adds the accounts of a file, one by one: what one lacks hinders none of the others."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import msgspec

from relay.control.accounts.views import NewReseller, Order
from relay.control.client import ControlError, ControlUnreachable
from relay.control.desk_calls import DeskCalls
from relay.control.sheet import inert
from relay.importing.accounts import Arriving
from relay.importing.reading import Fault


@dataclass(slots=True)
class Taken:
    """How many were added, how many were there already, and what was wrong with others."""

    added: int = 0
    known: int = 0
    faults: list[Fault] = field(default_factory=list)


def take_accounts(
    desk: DeskCalls,
    arriving: Sequence[Arriving],
    *,
    logins: IO[str] | None,
    makes_resellers: bool,
    is_dry: bool,
    progress: Callable[[int, int], None],
) -> Taken:
    """Add them. `logins`: where login and password of each are written, one is made for each then.

    Raises ControlUnreachable when the relay goes away meanwhile; the same file may be given again.
    """
    known = {one.name for one in desk.accounts()}
    resellers = {one.name for one in desk.resellers()}
    writer = None if logins is None else csv.writer(logins, lineterminator="\n")
    if writer is not None:
        writer.writerow(("account", "login", "password"))
    taken = Taken()
    for number, one in enumerate(arriving, 1):
        if one.account.name in known:
            taken.known += 1
        else:
            _take(desk, one, resellers, taken, writer.writerow if writer else None, makes_resellers, is_dry)
        progress(number, len(arriving))
    return taken


def _take(
    desk: DeskCalls,
    one: Arriving,
    resellers: set[str],
    taken: Taken,
    write: Callable[[Sequence[str]], object] | None,
    makes_resellers: bool,
    is_dry: bool,
) -> None:
    account = msgspec.structs.replace(one.account, dry_run=is_dry, login=one.account.name if write else "")
    try:
        if account.reseller and account.reseller not in resellers:
            if not makes_resellers:
                raise ControlError(
                    404, f"there is no reseller {account.reseller!r}; give --resellers, or: mailweir reseller add"
                )
            desk.add_reseller(NewReseller(name=account.reseller, dry_run=is_dry))
            resellers.add(account.reseller)
        if is_dry and account.reseller:  # it may be one that would be added first
            account = msgspec.structs.replace(account, reseller="")
        added = desk.add_account(account)
        if one.is_suspended and not is_dry:
            desk.suspend_account(account.name, Order())
    except ControlUnreachable:
        raise
    except ControlError as error:
        taken.faults.append(Fault(one.line, f"{account.name}: {error.detail}"))
        return
    taken.added += 1
    if write and added.secret is not None:
        # a password stays as it is, for programs: a sheet may show one that begins with - as an error, and runs none
        write((inert(account.name), inert(added.secret.login), added.secret.password))
