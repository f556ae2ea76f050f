"""Trials about addresses and pools, destinations, and the suppression list."""

import time

from bench.orders.hands import Hands
from bench.orders.proof import Missing, Proof, Trial
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource, SourceView, WarmupView
from relay.control.suppression.views import SuppressionView

_WARM, _STEADY = "trial-warm", "trial-steady"


def pools(proof: Proof) -> None:
    hands = _address(proof, _STEADY)
    if "suspect" in _source(proof, _STEADY).pools:
        EgressCalls(proof.relay).remove_pool("suspect")
        hands.open(f"/ips?source={_STEADY}")
    hands.ask("Other pools")
    proof.saw("nothing changed cannot be pressed", not hands.can("Move"))
    hands.add("Pools", "suspect")
    proof.has("suspect then has", hands.read(), where="the dialog")
    told = hands.answer("Move")
    proof.has("Undo:", told, where="the page")
    proof.saw("it is in the pool", "suspect" in _source(proof, _STEADY).pools, _source(proof, _STEADY).pools)
    proof.audited("pool.set", "suspect")
    proof.shows("suspect × 1")
    listed = {one["name"]: one["members"] for one in proof.cli("pool", "ls")}
    proof.saw("mailweir pool ls has it", _STEADY in listed["suspect"], listed)
    hands.ask("Other pools")
    hands.dialog.get_by_role("button", name="suspect").or_(hands.dialog.get_by_label("Remove suspect")).first.click()
    hands.settle()
    proof.has("nothing: its mail uses the addresses of fair", hands.read(), where="the dialog")
    proof.has("is now in no pool", hands.answer("Move"), where="the page")
    proof.saw("it is in no pool", not _source(proof, _STEADY).pools, _source(proof, _STEADY).pools)
    proof.audited("pool.rm", "suspect")


def out_of_use_and_back(proof: Proof) -> None:
    hands = _address(proof, _STEADY)
    hands.ask("Take out of use")
    proof.saw("without a reason it cannot be pressed", not hands.can("Take out"))
    hands.fill("Because", "listed somewhere")
    proof.has("is out of use", hands.answer("Take out"), where="the page")
    proof.saw("it is quarantined", _source(proof, _STEADY).state == "quarantined")
    proof.audited("ip.quarantine", _STEADY)
    proof.shows("Take back into use")
    hands.picture("out of use")
    hands.ask("Retire")
    hands.fill("Because", "given back to the provider")
    proof.has("is retired", hands.answer("Retire"), where="the page")
    proof.saw("it is retired", _source(proof, _STEADY).state == "retired")
    proof.audited("ip.retire", _STEADY)
    hands.ask("Take back into use")
    hands.fill("Because", "it is clean")
    proof.has("is in use", hands.answer("Take back"), where="the page")
    proof.saw("it is active", proof.cli("ip", "show", _STEADY)["state"] == "active")
    proof.audited("ip.activate", _STEADY)


def warm_up(proof: Proof) -> None:
    hands = _address(proof, _WARM)
    if _source(proof, _WARM).is_warming:
        EgressCalls(proof.relay).switch_warmup(_WARM, "stop")
        hands.open(f"/ips?source={_WARM}")
    hands.ask("Start warm-up")
    proof.has("Each provider gets at most its stage's", hands.read(), where="the dialog")
    hands.answer("Start")
    proof.saw("it warms up", _source(proof, _WARM).is_warming)
    proof.audited("warmup.start", _WARM)
    proof.shows("Warming up")
    proof.until("its plans are there", lambda: _warmup(proof).plans)
    provider = _warmup(proof).plans[0].provider
    hands.open(f"/ips?source={_WARM}")
    hands.ask("Other stage")
    hands.fill("Stage, 1 to 30", "900")
    proof.has("900", hands.told(), where="the dialog's error")
    proof.saw("a stage beyond the last cannot be pressed", not hands.can("Set"))
    hands.fill("Stage, 1 to 30", "3")
    proof.has("The day begins anew with the cap of stage 3", hands.read(), where="the dialog")
    told = hands.answer("Set")
    proof.has("is at stage 3", told, where="the page")
    proof.until("the plan is at stage 3", lambda: _stage(proof, provider) == 3)
    proof.audited("warmup.set", _WARM)
    hands.picture("stage 3")
    hands.ask("End warm-up")
    hands.answer("End")
    proof.saw("it warms up no more", not proof.cli("ip", "show", _WARM)["is_warming"])
    proof.audited("warmup.stop", _WARM)


def culprits(proof: Proof) -> None:
    """A row of who caused it leads to the sender."""
    seen = proof.queries.sql("SELECT DISTINCT source FROM attempt WHERE source <> '' LIMIT 20")
    for row in EgressCalls(proof.relay).sources():
        found = proof.queries.frame("culprits", address=row.address, limit=5)
        known = found[found["sender"] != ""]
        if len(known):
            break
    else:
        raise Missing(f"an address with somebody who may have hurt it; mail left from {list(seen['source'])}")
    hands = proof.hands
    hands.open(f"/ips?source={row.name}")
    hands.main.get_by_text("Who caused it").scroll_into_view_if_needed()
    hands.picture("culprits")
    hands.choose(str(known["sender"].iloc[0]).split("|", 2)[2])
    proof.until("the row leads to the sender's page", lambda: "/sender?" in hands.page.url)


def address_row(proof: Proof) -> None:
    hands = _address(proof, _STEADY)
    hands.open("/ips")
    hands.choose(_STEADY)
    proof.until("the row opens the address", lambda: f"source={_STEADY}" in hands.page.url)


def destination_stop(proof: Proof) -> None:
    """Stop, try now while it is stopped, let it go on."""
    name = _busy(proof)
    hands = proof.hands
    hands.open(f"/destinations?destination={name}")
    hands.ask("Stop")
    proof.saw("without a reason it cannot be pressed", not hands.can("Stop"))
    hands.fill("Because", "their maintenance")
    hands.pick("For", "1 hour")
    told = hands.answer("Stop")
    proof.has("Stopped:", told, where="the page")
    proof.has("Undo:", told, where="the page")
    stops = [one for one in proof.relay.destination(name).effects if one.kind == "suspend"]
    proof.saw("it is stopped by the person", [one.author for one in stops] == [proof.person], stops)
    proof.audited("destination.suspend", name)
    proof.shows("their maintenance")
    effects = proof.cli("dest", "show", name)["effects"]
    proof.saw("mailweir dest show has it", any(one["kind"] == "suspend" for one in effects), effects)
    proof.until("mail waits for it", lambda: _waits(proof, name), 60)
    hands.open(f"/destinations?destination={name}")
    proof.has("It is stopped: nothing leaves before that ends", hands.ask("Try now"), where="the dialog")
    proof.has("Due now:", hands.answer("Try now"), where="the page")
    proof.saw("audit: queue.retry", any(one.command == "queue.retry" for one in proof.relay.audit(limit=20)))
    hands.ask("Let it go on")
    proof.has("goes on", hands.answer("Go on"), where="the page")
    proof.until("nothing stops it", lambda: not _stops(proof, name))
    proof.audited("destination.resume", name)
    proof.shows("Nothing is in force")


def destination_limits(proof: Proof) -> None:
    name = _busy(proof)
    hands = proof.hands
    hands.open(f"/destinations?destination={name}")
    hands.ask("Other limits")
    hands.fill("Connections at once", "2")
    hands.fill("Messages a minute", "30")
    hands.pick("For", "24 hours")
    proof.has("2 connections, 30 a minute", hands.read(), where="the dialog")
    proof.has("changed", hands.answer("Set"), where="the page")
    found = {one.kind: one.value for one in proof.relay.destination(name).effects if one.author == proof.person}
    proof.saw("both are in force", found == {"connections": 2, "rate": 30}, found)
    proof.audited("destination.override", name)
    proof.shows("30 a minute")
    hands.ask("Other limits")
    hands.picture("again")
    proof.saw("it shows what was set", hands.value("Connections at once") == "2", hands.value("Connections at once"))
    hands.fill("Connections at once", "0")
    hands.fill("Messages a minute", "0")
    proof.has("the table again", hands.read(), where="the dialog")
    hands.answer("Set")
    left = [one for one in proof.relay.destination(name).effects if one.author]
    proof.saw("the table's numbers hold again", not left, left)


def suppress(proof: Proof) -> None:
    """Add two with a slip, mend the slip, look one up, try to write to it, allow it again."""
    account = _account(proof)
    hands = proof.hands
    one, two = f"gone{int(time.time())}@trial.example", f"away{int(time.time())}@trial.example"
    hands.open("/bounces")
    hands.pick("List of", account, within=hands.main)
    hands.ask("Suppress")
    hands.fill("Recipients", f"{one}\nnot an address")
    hands.picture("a slip")
    proof.has("not an address", hands.read(), where="the dialog")
    proof.saw("what was typed is still there", one in hands.value("Recipients"), hands.value("Recipients"))
    hands.fill("Recipients", f"{one}\n{two}")
    hands.fill("Evidence", "left the company")
    hands.pick("For", "30 days")
    proof.has(f"2 new, 0 replaced, for account {account}", hands.read(), where="the dialog")
    proof.has("Suppressed: 2 new", hands.answer("Suppress"), where="the page")
    row = _suppressed(proof, account, one)
    proof.saw("the relay has it with its evidence and end", row and row.evidence == "left the company" and row.ends_at)
    proof.audited("suppression.add")
    why = proof.cli("suppress", "why", one, is_json=False)
    proof.has("left the company", why, where="mailweir suppress why")
    refusal = proof.submit(account, _mail_from(proof, account), one, "To one who left")
    proof.saw("a message to it is refused at the door", refusal.startswith(("5", "(5")), refusal)
    hands.fill("Recipient", one, within=hands.main)
    proof.until("the other is not listed", lambda: two not in hands.shown())  # else the row moves below the mouse
    hands.choose(one)
    proof.shows("Allow again")
    hands.picture("found")
    hands.ask("Allow again")
    proof.has("gets mail again", hands.answer("Allow"), where="the page")
    proof.saw("the relay has it no more", _suppressed(proof, account, one) is None)
    proof.audited("suppression.remove")
    proof.saw("a message to it is taken", not proof.submit(account, _mail_from(proof, account), one, "Back again"))


def suppression_files(proof: Proof) -> None:
    """A file with a fault is refused whole; a right one is taken; what is exported has it."""
    hands = proof.hands
    name = f"file{int(time.time())}"
    hands.open("/bounces")
    hands.pick("List of", "all accounts", within=hands.main)
    hands.ask("Import")
    box = hands.dialog.locator("input[type=file]")
    bad = f"address,reason\n{name}@trial.example,bored\n"
    box.set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": bad.encode()})
    hands.dialog.get_by_test_id("stAlert").wait_for()
    hands.picture("a fault")
    proof.has("line 2", hands.read(), where="the dialog")
    proof.has("bored", hands.read(), where="the dialog")
    good = f"address,reason,evidence\n{name}@trial.example,complaint,told us\n"
    hands.dialog.locator("input[type=file]").set_input_files(
        {"name": "good.csv", "mimeType": "text/csv", "buffer": good.encode()}
    )
    hands.dialog.get_by_text("1 new").wait_for()
    proof.has("Suppressed: 1 new", hands.answer("Import"), where="the page")
    proof.saw("the relay has it for all", _suppressed(proof, "", f"{name}@trial.example"))
    proof.audited("suppression.add")
    with hands.page.expect_download() as coming:
        hands.press("Export")
    text = coming.value.path().read_text()
    proof.saw("the exported file has it", f"{name}@trial.example,complaint,told us" in text, text[:300])


def _address(proof: Proof, name: str) -> Hands:
    """The page of an address of ours, which is made when it is not there."""
    egress = EgressCalls(proof.relay)
    known = {row.name for row in egress.sources()}
    for number, one in enumerate((_STEADY, _WARM)):
        if one not in known:
            egress.add_source(NewSource(name=one, address=f"127.0.0.{81 + number}", force=True))
    proof.hands.open(f"/ips?source={name}")
    return proof.hands


def _source(proof: Proof, name: str) -> SourceView:
    return next(row for row in EgressCalls(proof.relay).sources() if row.name == name)


def _warmup(proof: Proof) -> WarmupView:
    return next(row for row in EgressCalls(proof.relay).warmups() if row.source == _WARM)


def _stage(proof: Proof, provider: str) -> int:
    return next(plan.stage for plan in _warmup(proof).plans if plan.provider == provider)


def _busy(proof: Proof) -> str:
    return max(proof.relay.destinations(), key=lambda one: one.delivered).destination


def _waits(proof: Proof, name: str) -> int:
    rows = proof.relay.queue().get("destinations") or []
    return sum(row["waiting"] for row in rows if name in (row.get("site"), row["destination"]))


def _stops(proof: Proof, name: str) -> list[object]:
    return [one for one in proof.relay.destination(name).effects if one.kind == "suspend"]


def _account(proof: Proof) -> str:
    return next(one.name for one in proof.relay.accounts() if not one.shared_host and one.domains)


def _mail_from(proof: Proof, account: str) -> str:
    return f"trial@{proof.relay.account(account).domains[0]}"


def _suppressed(proof: Proof, account: str, address: str) -> SuppressionView | None:
    rows = proof.relay.suppressions(account, address=address, limit=10)
    return next((row for row in rows if row.address == address), None)


TRIALS: dict[str, Trial] = {
    "ips-row": address_row,
    "ips-pools": pools,
    "ips-out-of-use": out_of_use_and_back,
    "ips-warm-up": warm_up,
    "ips-culprits": culprits,
    "destinations-stop": destination_stop,
    "destinations-limits": destination_limits,
    "suppression-add-remove": suppress,
    "suppression-files": suppression_files,
}
