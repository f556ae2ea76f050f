"""Trials of what begins and ends: an account with its limits, a reseller, a domain with its keys, a policy."""

import time
from urllib.parse import quote

from bench.orders.proof import Missing, Proof, Trial
from relay.policy.limits.levels import Level


def account(proof: Proof) -> None:
    """Added, limited, removed only when its name is written."""
    name, hands = f"trial{int(time.time()) % 100_000}", proof.hands
    hands.open("/customers?part=Accounts")
    hands.ask("Add account")
    hands.fill("Name", name)
    proof.has("shown this once", hands.answer("Add"), where="the dialog")
    hands.press("Close", within=hands.dialog)
    proof.audited("account.add", name)
    hands.open(f"/customers?part=Accounts&account={quote(name)}")
    hands.ask("Limit all it sends")
    proof.saw("nothing changed cannot be pressed", not hands.can("Set limits"))
    hands.fill("Recipients per hour", "50")
    told = hands.answer("Set limits")
    proof.has(f"Limits of {name} were set", told, where="the page")
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    found = {one.level: one.rcpts_per_hour for one in proof.relay.limits(name)}
    proof.saw("the relay has the limit", found.get(Level.ACCOUNT) == 50, found)
    proof.audited("limit.set", f"account {name}")
    proof.shows("50")
    hands.ask("Remove")
    hands.fill("Write its name to remove it", "another")
    proof.saw("with another name it cannot be pressed", not hands.can("Remove"))
    hands.fill("Write its name to remove it", name)
    hands.answer("Remove")
    proof.saw("it is gone", name not in {one.name for one in proof.relay.accounts()})
    proof.audited("account.remove", name)
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    proof.shows(f"There is no account {name}")


def reseller(proof: Proof) -> None:
    """Suspended, the mail of its accounts refused at the door; resumed."""
    one = next((one for one in proof.relay.resellers() if one.accounts and not one.is_suspended), None)
    if one is None:
        raise Missing("a reseller with accounts in the demo")
    accounts = [row for row in proof.relay.accounts() if row.reseller == one.name]
    login = next(row for row in accounts if row.domains and not row.shared_host)
    hands = proof.hands
    hands.open("/customers?part=Accounts")
    hands.main.locator(f".st-key-reseller-stand-{one.name} button").click()
    hands.dialog.wait_for()
    hands.settle()
    proof.has(f"All mail of its {len(accounts)} accounts is refused at once", hands.read(), where="the dialog")
    hands.picture("suspend")
    hands.answer("Suspend")
    proof.audited("reseller.suspend", one.name)
    refusal = proof.submit(login.name, f"trial@{login.domains[0]}", "ann@trial.example", "While suspended")
    proof.saw("mail of an account of it is refused at the door", refusal, refusal)
    hands.open("/customers?part=Accounts")
    proof.shows("Reseller suspended")
    hands.main.locator(f".st-key-reseller-stand-{one.name} button").click()
    hands.dialog.wait_for()
    hands.settle()
    hands.answer("Resume")
    proof.saw("it may send again", not next(r for r in proof.relay.resellers() if r.name == one.name).is_suspended)
    proof.audited("reseller.resume", one.name)


def domain(proof: Proof) -> None:
    """Added, its key's record shown again, the key ended and another made, the domain removed."""
    account, name = proof.relay.accounts()[0].name, f"trial{int(time.time()) % 100_000}.example"
    hands = proof.hands
    hands.open("/customers?part=Domains")
    hands.ask("Add domain")
    hands.pick("Account", account)
    hands.fill("Domain", name)
    told = hands.answer("Add")
    proof.has(f"{name} is there", told.replace("\\", ""), where="the page")
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    proof.audited("domain.add", name)
    hands.open(f"/customers?part=Domains&domain={quote(f'{account} {name}')}")
    proof.has("still waits for its record", hands.ask("Next key"), where="the dialog")
    proof.has("publish its record", hands.answer("Show its record"), where="the dialog")
    hands.press("Close", within=hands.dialog)
    hands.press("End")
    hands.dialog.wait_for()
    hands.settle()
    hands.answer("End it")
    proof.audited("domain.dkim.remove")
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    hands.open(f"/customers?part=Domains&domain={quote(f'{account} {name}')}")
    hands.ask("Next key")
    hands.answer("Make the key")
    hands.press("Close", within=hands.dialog)
    states = [key.state.value for key in proof.relay.domain(name, account).keys]
    proof.saw("one key is retired, another waits", sorted(states) == ["pending", "retired"], states)
    proof.audited("domain.dkim.rotate")
    hands.ask("Remove domain")
    hands.answer("Remove")
    proof.saw("it is nobody's", name not in {one.domain for one in proof.relay.domains()})
    proof.audited("domain.remove")


def policy(proof: Proof) -> None:
    """Another one judges, seen key by key; then the one before again."""
    before = proof.relay.policy()
    text = before.text.replace("spam_line = 0.2", "spam_line = 0.25")
    if text == before.text:
        raise Missing("spam_line = 0.2 in the policy in force")
    hands = proof.hands
    hands.open("/lab?part=Policy")
    hands.ask("Apply another")
    hands.fill("Policy, as TOML", text)
    proof.has("spam_line", hands.read(), where="the dialog, of what would differ,")
    proof.saw("without a note it cannot be pressed", not hands.can("Apply"))
    hands.fill("Note", "fewer stops")
    told = hands.answer("Apply")
    proof.has("The policy is in force", told, where="the page")
    proof.saw("the relay judges by it", "spam_line = 0.25" in proof.relay.policy().text)
    proof.audited("policy.apply")
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    proof.shows("fewer stops")
    hands.ask("Roll back")
    hands.fill("Note", "more than we thought")
    hands.answer("Roll back")
    after = proof.relay.policy()
    proof.saw("the one before judges again", after.text == before.text)
    proof.audited("policy.rollback")


TRIALS: dict[str, Trial] = {
    "ends-account": account,
    "ends-reseller": reseller,
    "ends-domain": domain,
    "ends-policy": policy,
}
