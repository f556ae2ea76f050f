"""What a confirmed listing of one of our addresses leads to: an alarm with the likeliest culprits, and the address out
of use through the control API until it is clean again.

Only codes that the table marks do that (SBL, CSS, XBL, DROP), only of a source that is active while another one is too:
mail that some refuse is better than none. Who a person took back into use stays there, whatever the same listing says.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from analytics.jobs import RaiseAlarm
from analytics.listings.culprits import likeliest
from analytics.listings.rounds import InForce
from analytics.warehouse import Connection, Warehouse, transaction
from relay.control.audit.views import AuditDetail
from relay.control.client import ControlClient
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import SourceView, StandOrder
from relay.delivery.egress.sources import SourceState

_log = logging.getLogger("mailweir.listings")

_OPEN = "SELECT address, source, since_at, state, reason FROM quarantine WHERE ended_at IS NULL"
_NEW = {"state": "new"}


@dataclass(frozen=True, slots=True)
class _Case:
    """One address and what is confirmed of it."""

    address: str
    listings: tuple[InForce, ...]

    @property
    def since_at(self) -> datetime:
        return min(one.since_at for one in self.listings)

    @property
    def words(self) -> str:
        return "; ".join(
            f"{one.zone}: {', '.join(code.meaning for code in one.codes) or 'listed'}" for one in self.listings
        )


class Quarantine:
    """Follows what rounds.py confirmed. `is_on` False: alarms only."""

    def __init__(
        self, warehouse: Warehouse, relay: Callable[[], ControlClient], raise_alarm: RaiseAlarm, *, is_on: bool
    ) -> None:
        self._warehouse, self._relay, self._raise_alarm, self._is_on = warehouse, relay, raise_alarm, is_on

    def follow(self, in_force: list[InForce], clean: set[str], now: datetime) -> int:
        """Bring the sources in line with the listings in force; return how many addresses changed.

        `clean`: addresses that every list that answers has called clean twice. Raises ControlError while the relay does
        not take it; nothing is lost, the next run does it.
        """
        ours = dict.fromkeys(one.subject for one in in_force if one.is_address)
        cases = {name: _Case(name, tuple(one for one in in_force if one.subject == name)) for name in ours}
        known = {row["address"]: row for row in self._warehouse.table(_OPEN).to_pylist()}
        over = [row for address, row in known.items() if address in clean and address not in cases]
        open_cases = [case for address, case in cases.items() if known.get(address, _NEW)["state"] in ("new", "told")]
        watched = [row for row in known.values() if row["state"] == "quarantined"]
        if not (over or open_cases or watched):
            return 0
        with self._relay() as client:
            egress = EgressCalls(client)
            sources = egress.sources()
            self._notice_hands(watched, sources)
            changed = sum(self._lift(egress, sources, row, now) for row in over)
            return changed + sum(
                self._begin(egress, sources, case, now, is_new=case.address not in known) for case in open_cases
            )

    def _begin(
        self, egress: EgressCalls, sources: list[SourceView], case: _Case, now: datetime, *, is_new: bool
    ) -> int:
        source = next((one for one in sources if one.address == case.address), None)
        state, what = self._decide(source, sources, case)
        if state == "told" and not is_new:
            return 0
        culprits = likeliest(self._warehouse, case.address, case.since_at)
        reason = f"listed: {case.words}"
        if state == "quarantined" and source:
            evidence: AuditDetail = {
                "zones": " ".join(one.zone for one in case.listings),
                "since": f"{case.since_at:%F %T}",
            }
            if culprits:
                evidence["likeliest"] = culprits[0]
            egress.stand(source.name, "quarantine", StandOrder(reason=reason, evidence=evidence))
        self._remember(case, source.name if source else "", state, reason, now)
        removal = " ".join(dict.fromkeys(one.removal for one in case.listings if one.removal))
        text = f"{case.address} is {reason}; {what}" + (f". Likeliest: {culprits[0]}" if culprits else "")
        self._raise_alarm(
            "ip_listed",
            text + (f". Removal: {removal}" if removal else ""),
            {"address": case.address, "state": state, "culprits": culprits, "removal": removal},
        )
        _log.warning("address listed address=%s state=%s zones=%s", case.address, state, case.words)
        return 1

    def _decide(self, source: SourceView | None, sources: list[SourceView], case: _Case) -> tuple[str, str]:
        """The state of the new row, and what to tell people."""
        others = [one for one in sources if one.state is SourceState.ACTIVE and one is not source]
        if not any(one.quarantines for one in case.listings):
            return "told", "it stays in use: this listing is no reason to take it out"
        if source is None:
            return "told", "no source has it: if mail leaves from it by address translation, look at what is behind it"
        if source.state is not SourceState.ACTIVE:
            return "told", f"its source {source.name} is {source.state} already"
        if not self._is_on:
            return "told", "it stays in use: dnsbl.quarantine is off"
        if not others:
            return "told", "it stays in use: there is no other active source"
        return "quarantined", f"its source {source.name} takes nothing new until it is clean"

    def _lift(self, egress: EgressCalls, sources: list[SourceView], row: dict[str, object], now: datetime) -> int:
        """Clean twice everywhere: what this module took out of use comes back."""
        source = next((one for one in sources if one.name == row["source"]), None)
        address = str(row["address"])
        is_ours = row["state"] == "quarantined" and source and source.state is SourceState.QUARANTINED
        if is_ours and source:
            order = StandOrder(reason="clean on all lists, seen twice", evidence={"was": str(row["reason"])})
            egress.stand(source.name, "activate", order)
        self._end(address, "lifted", now)
        text = f"{address} is on no list any more" + (
            f"; its source {row['source']} is in use again" if is_ours else ""
        )
        self._raise_alarm("ip_delisted", text, {"address": address})
        return 1

    def _notice_hands(self, watched: list[dict[str, object]], sources: list[SourceView]) -> None:
        """A person's word stands: what was activated by hand is not taken out again for the same listing."""
        states = {one.name: one.state for one in sources}
        for row in watched:
            if states.get(str(row["source"])) is not SourceState.QUARANTINED:
                self._set_state(str(row["address"]), "by hand")

    def _remember(self, case: _Case, source: str, state: str, reason: str, now: datetime) -> None:
        row: list[object] = [case.address, source, case.since_at, state, reason, now, None]
        self._write("DELETE FROM quarantine WHERE address = ? AND ended_at IS NULL", [case.address])
        self._write("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _end(self, address: str, state: str, now: datetime) -> None:
        sql = "UPDATE quarantine SET state = ?, ended_at = ? WHERE address = ? AND ended_at IS NULL"
        self._write(sql, [state, now, address])

    def _set_state(self, address: str, state: str) -> None:
        self._write("UPDATE quarantine SET state = ? WHERE address = ? AND ended_at IS NULL", [state, address])

    def _write(self, sql: str, values: list[object]) -> None:
        def write(connection: Connection) -> None:
            with transaction(connection):
                connection.execute(sql, values)

        self._warehouse.write(write).result()
