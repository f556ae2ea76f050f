"""Trials of refusals: what one may not is not offered; a wrong value is explained, and nothing typed is lost."""

from dataclasses import dataclass
from urllib.parse import quote

from bench.orders.hands import Hands
from bench.orders.proof import Missing, Proof, Trial
from relay.control.client import ControlClient, ControlError, base_url
from relay.control.views import HoldOrder, ReleaseOrder
from relay.tree import Role
from relay.users.views import NewUser

_PARTS = ("Accounts", "Domains", "Servers", "Webhooks", "Users", "Brand", "Usage")
_PAGES = (
    *("/", "/decisions", "/decisions?show=texts", "/sender", "/messages", "/destinations", "/ips", "/bounces"),
    *("/complaints", "/lab", "/data_room", "/data_room?part=Retention", "/system"),
    *(f"/customers?part={part}" for part in _PARTS),
)
# Words of buttons that change nothing: they look, they ask, they take a file away.
_LOOKS = {
    "Open this case",
    "Download the page",
    "Download the whole report (CSV)",
    "All addresses",
    "All destinations",
    "Close",
    "CSV",
    "Parquet",
    "TOML",
    "Saved",
    "Fields",
    "Add a condition",
    "Refresh",
    "Verify the chain",
    "Why?",
    "Export",
    "Examine this installation",
    "Check now",
    "Clear",
    "Not delivered",
    "Held now",
    "Refused at the door",
    "Bounced",
    "Retrying",
    "Scored as spam, let through",
    "Outcomes by day",
    "Replies that bounced",
    "Busiest senders",
    "Run",
}


@dataclass(frozen=True)
class Slip:
    """A wrong value in a dialog: where, which button opens it, what is typed, which button does it, what is said."""

    name: str
    path: str
    opens: str
    typed: dict[str, str]
    does: str
    says: tuple[str, ...]


_SLIPS = (
    Slip("account", "/customers?part=Accounts", "Add account", {"Name": "two words"}, "Add", ("two words", "name")),
    Slip("reseller", "/customers?part=Accounts", "Add reseller", {"Name": "a|b"}, "Add", ("a|b",)),
    Slip("network", "{account}", "Allow network", {"Network": "192.0.2.0/33"}, "Allow", ("192.0.2.0/33", "network")),
    Slip("domain", "/customers?part=Domains", "Add domain", {"Domain": "no domain"}, "Add", ("no domain",)),
    Slip("limit", "{sender}", "Limit to", {"Recipients in any 60 minutes": "0"}, "Limit", ("0", "Suspend")),
    Slip(
        "numbers",
        "{destination}",
        "Other limits",
        {"Connections at once": "-1", "Because": "a slip of mine"},
        "Set",
        ("connections", "-1"),
    ),
    Slip("user", "/customers?part=Users", "Add user", {"Name": "two words"}, "Add", ("two words",)),
    Slip("webhook", "/customers?part=Webhooks", "Add webhook", {"URL": "ftp://a.example"}, "Add", ("ftp://a.example",)),
    Slip(
        "policy",
        "/lab?part=Policy",
        "Apply another",
        {"Policy, as TOML": "[policy]\nhold_score = 7\n"},
        "Apply",
        ("hold_score", "7"),
    ),
    Slip("login", "{account}", "Add login", {"Login": "me", "Only from networks": "300.0.0.1"}, "Add", ("300.0.0.1",)),
)


def slips(proof: Proof) -> None:
    """Each is refused inside its dialog, in words that name the value, and what was typed stays."""
    places = {
        "{account}": f"/customers?part=Accounts&account={quote(proof.relay.accounts()[0].name)}",
        "{sender}": f"/sender?sender={quote(proof.quiet_senders(1)[0])}",
        "{destination}": f"/destinations?destination={proof.relay.destinations()[0].destination}",
    }
    troubles = []
    for slip in _SLIPS:
        try:
            _slip(proof, slip, places.get(slip.path, slip.path))
        except Missing as error:
            troubles.append(f"{slip.name}: {error}")
    if troubles:
        raise Missing("; ".join(troubles))


def _slip(proof: Proof, slip: Slip, path: str) -> None:
    hands = proof.hands
    hands.open(path)
    hands.ask(slip.opens)
    for label, text in slip.typed.items():
        hands.fill(label, text)
    if hands.can(slip.does):
        hands.answer(slip.does)
    else:
        hands.picture("refused at once")
    said = hands.told()
    for words in slip.says:
        proof.has(words, said, where=f"{slip.name}: the dialog's error")
    kept = {label: hands.value(label) for label in slip.typed}
    proof.saw(f"{slip.name}: what was typed is still there", kept == slip.typed, kept)


def viewer(proof: Proof) -> None:
    """Who only looks is offered nothing that changes anything, on no page, and the relay refuses him all the same."""
    hands = _person(proof, "vera", Role.VIEWER)
    _offered(proof, hands, "a viewer", set(), proof.relay.accounts()[0].name)
    refused = _tried(proof, hands)
    proof.saw("the relay refuses her order all the same", refused == 403, refused)
    hands.page.close()


def reseller(proof: Proof) -> None:
    """A reseller's operator is offered what is of his part: no addresses, destinations, models, policy, jobs."""
    mine = next((one.name for one in proof.relay.resellers()), "")
    if not mine:
        raise Missing("a reseller in the demo")
    hands = _person(proof, f"olaf-{mine}", Role.OPERATOR, reseller=mine)
    parked = {one.account for one in proof.relay.held(limit=500) if one.reseller != mine}
    others = [one.name for one in proof.relay.accounts() if one.reseller != mine]
    foreign = next((name for name in others if name in parked), others[0])
    mine_too = next(one.name for one in proof.relay.accounts() if one.reseller == mine)
    allowed = {
        "Suppress", "Import", "Add webhook", "Remove", "Limit all it sends", "Limit each of its senders", "Release",
        "Confirm", "Not spam", "Limit to", "Ask the customer", "Suspend", "Exempt", "Open", "Answer", "Give its limit",
        "Release by score",
        "Delete",
        "It is",
    }  # fmt: skip
    _offered(proof, hands, "a reseller's operator", allowed, mine_too)
    hands.open(f"/customers?part=Accounts&account={quote(foreign)}")
    proof.saw("another's account is not there for him", f"There is no account {foreign}" in hands.shown())
    theirs = next((one for one in proof.relay.held(limit=500) if one.account == foreign), None)
    if theirs is not None:
        hands.open(f"/messages?q=outcome:held&message={theirs.message_id}")
        proof.saw("nor a parked message of it", "Nothing is known of" in hands.shown(), hands.shown()[:400])
        hands.open(f"/sender?sender={quote(theirs.sender)}")
        proof.saw("nor its sender", not hands.labels() or "No mail of" in hands.shown(), hands.shown()[:400])
    hands.page.close()


def _offered(proof: Proof, hands: Hands, who: str, allowed: set[str], account: str) -> None:
    found: dict[str, list[str]] = {}
    rows = (f"/customers?part=Accounts&account={quote(account)}", "/ips?source=trial-steady")
    busiest = max(proof.relay.destinations(), key=lambda one: one.delivered).destination
    parked = proof.relay.held(limit=1)
    one = [f"/messages?message={parked[0].message_id}", f"/sender?sender={quote(parked[0].sender)}"] if parked else []
    for path in (*_PAGES, *rows, f"/destinations?destination={busiest}", *one):
        hands.open(path)
        labels = [label for label in hands.labels() if label not in _LOOKS]
        more = [label for label in labels if not any(label.startswith(words) for words in allowed)]
        if more:
            found[path] = more
            hands.picture(path)
    proof.saw(f"{who} is offered on {len(_PAGES) + 3 + len(one)} pages nothing that is not his to do", not found, found)


def _tried(proof: Proof, hands: Hands) -> int:
    """What the relay says to an order with this person's own token: its status, 0 when it was done."""
    token = next(one["value"] for one in hands.page.context.cookies())
    sender = proof.quiet_senders(1)[0]
    with ControlClient(base_url(proof.settings.control.listen), str(token)) as own:
        try:
            own.hold_sender(sender, HoldOrder())
        except ControlError as error:
            return error.status
    proof.relay.release_sender(sender, ReleaseOrder())
    return 0


def _person(proof: Proof, name: str, role: Role, reseller: str = "") -> Hands:
    if name not in {one.name for one in proof.relay.users()}:
        proof.relay.add_user(NewUser(name=name, role=role, reseller=reseller))
    return proof.enter(name)


TRIALS: dict[str, Trial] = {"slips": slips, "viewer": viewer, "reseller": reseller}
