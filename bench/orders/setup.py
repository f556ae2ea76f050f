"""Trials about users, webhooks, accounts and their logins."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

from bench.orders.proof import Proof, Trial
from relay.tree import Role
from relay.users.views import UserView


def user(proof: Proof) -> None:
    """Added, given another role, another password, locked out, let in again, removed."""
    name = f"bob{int(time.time()) % 100_000}"
    hands = proof.hands
    hands.open("/customers?part=Users")
    hands.ask("Add user")
    hands.fill("Name", proof.person)
    hands.answer("Add")
    proof.has("already", hands.told(), where="the dialog")
    proof.saw("the name that was typed is still there", hands.value("Name") == proof.person)
    hands.fill("Name", name)
    told = hands.answer("Add")
    proof.has("The password is shown this once", told, where="the dialog")
    first = hands.dialog.get_by_test_id("stCode").first.inner_text().strip()
    hands.press("Close", within=hands.dialog)
    proof.saw("the relay has the user", _user(proof, name) is not None)
    proof.audited("user.add", name)
    proof.saw("the password opens the door", _signs_in(proof, name, first))

    hands.choose(name)
    hands.ask("Change role")
    hands.picture("role")
    proof.has("viewer: looks", hands.read() + hands.value("Role"), where="the dialog")
    proof.saw("the same role cannot be pressed", not hands.can("Change"))
    hands.pick("Role", "operator")
    hands.answer("Change")
    proof.saw("the role is operator", _user(proof, name).role is Role.OPERATOR)
    proof.audited("user.set", name)
    hands.press("Close", within=hands.dialog)
    proof.shows("operator")

    _password(proof, name, first)
    _lock(proof, name)

    hands.open("/customers?part=Users")
    hands.choose(name)
    hands.ask("Remove")
    hands.answer("Remove")
    proof.saw("the user is gone", name not in {one.name for one in proof.relay.users()})
    proof.audited("user.rm", name)


def _password(proof: Proof, name: str, before: str) -> None:
    hands = proof.hands
    hands.open("/customers?part=Users")
    hands.choose(name)
    hands.ask("New password")
    told = hands.answer("Make a new password")
    proof.has("has a new password", told, where="the dialog")
    second = hands.dialog.get_by_test_id("stCode").first.inner_text().strip()
    hands.press("Close", within=hands.dialog)
    proof.audited("user.passwd", name)
    proof.saw("the new password opens the door, the old one does not", (
        _signs_in(proof, name, second), _signs_in(proof, name, before)) == (True, False))  # fmt: skip


def _lock(proof: Proof, name: str) -> None:
    hands, other = proof.hands, proof.enter(name)
    other.open("/system")
    hands.open("/customers?part=Users")
    hands.choose(name)
    hands.ask("Disable")
    hands.answer("Disable")
    proof.saw("the user is disabled", _user(proof, name).is_disabled)
    other.page.goto("/decisions")
    other.page.wait_for_timeout(3_000)
    words = other.page.inner_text("body")
    proof.saw("an open session is over", "Decisions\n" not in words and "ign in" in words, words[:200])
    other.page.close()
    if hands.is_asked():
        hands.press("Close", within=hands.dialog)
    proof.shows("Disabled")
    hands.open("/customers?part=Users")
    hands.choose(name)
    hands.ask("Enable")
    hands.answer("Enable")
    proof.saw("the user may come in again", not _user(proof, name).is_disabled)


def oneself(proof: Proof) -> None:
    """Who locks himself out is told first, or refused."""
    hands = proof.hands
    hands.open("/customers?part=Users")
    hands.choose(proof.person)
    hands.ask("Disable")
    told = hands.answer("Disable")
    proof.saw("nobody locks himself out", not _user(proof, proof.person).is_disabled, told)
    proof.has("yourself", told, where="the dialog")


def webhook(proof: Proof) -> None:
    """Added, with a wrong address first; tried; removed."""
    hands = proof.hands
    with _endpoint() as (port, calls):
        url = f"http://127.0.0.1:{port}/hook"
        hands.open("/customers?part=Webhooks")
        hands.ask("Add webhook")
        hands.fill("URL", "hooks.example.org")
        hands.answer("Add")
        proof.has("http", hands.told(), where="the dialog")
        proof.saw("the address that was typed is still there", hands.value("URL") == "hooks.example.org")
        hands.picture("wrong url")
        hands.fill("URL", url)
        hands.answer("Add")
        hands.picture("added")
        if "shown this once" not in hands.read():
            proof.has("loopback", hands.told(), where="the dialog, of an address inside")
            hands.fill("URL", "https://hooks.example.org/mail")
            hands.answer("Add")
        proof.has("The secret is shown this once", hands.read(), where="the dialog")
        hands.press("Close", within=hands.dialog)
        made = proof.relay.webhooks()[-1]
        proof.audited("webhook.add", made.id)
        hands.choose(made.url)
        hands.press("Test it")
        proof.until("the page says how it went", lambda: "answered" in hands.shown() or "after" in hands.shown())
        hands.picture("tested")
        if made.url == url and "webhooks.private_networks" not in hands.shown():  # which does not let in loopback
            proof.saw("the endpoint was called", calls)
        hands.ask("Remove")
        hands.answer("Remove")
        proof.saw("it is gone", made.id not in {one.id for one in proof.relay.webhooks()})
        proof.audited("webhook.remove", made.id)


def login(proof: Proof) -> None:
    """A login's password is changed, and the login revoked; each at the door."""
    account = next(one.name for one in proof.relay.accounts() if not one.shared_host and one.domains)
    name, hands = f"trial-{int(time.time()) % 100_000}", proof.hands
    hands.open(f"/customers?part=Accounts&account={quote(account)}")
    hands.ask("Add login")
    hands.fill("Login", account)
    hands.answer("Add")
    proof.has(account, hands.told(), where="the dialog, of a name that is taken,")
    proof.saw("what was typed is still there", hands.value("Login") == account)
    hands.fill("Login", name)
    hands.answer("Add")
    hands.press("Close", within=hands.dialog)
    proof.audited("credential.add", name)
    hands.choose(name)
    hands.ask("New password")
    hands.pick("The password before stays good for", "not a moment")
    proof.has("shown this once", hands.answer("Make a new password"), where="the dialog")
    hands.press("Close", within=hands.dialog)
    proof.audited("credential.rotate", name)
    hands.open(f"/customers?part=Accounts&account={quote(account)}")
    hands.choose(name)
    hands.ask("Revoke")
    hands.answer("Revoke")
    proof.saw("it is revoked", name in proof.relay.account(account).revoked_logins)
    proof.audited("credential.revoke", name)


def account(proof: Proof) -> None:
    """Suspended, its mail refused at the door; resumed."""
    name = [one.name for one in proof.relay.accounts() if not one.shared_host and one.domains][-1]
    mail_from = f"trial@{proof.relay.account(name).domains[0]}"
    hands = proof.hands
    hands.open(f"/customers?part=Accounts&account={quote(name)}")
    box = hands.main.locator("[data-testid=stVerticalBlock]").filter(has_text="List-Unsubscribe").last
    hands.press("Suspend", within=box)
    proof.has("All its new mail is refused at once", hands.read(), where="the dialog")
    hands.picture("suspend")
    hands.answer("Suspend")
    proof.saw("it is suspended", proof.relay.account(name).is_suspended)
    proof.audited("account.suspend", name)
    refusal = proof.submit(name, mail_from, "ann@trial.example", "While suspended")
    proof.saw("its mail is refused at the door", refusal, refusal)
    hands.open(f"/customers?part=Accounts&account={quote(name)}")
    proof.shows("Suspended")
    hands.press("Resume", within=box)
    hands.answer("Resume")
    proof.saw("it may send again", not proof.relay.account(name).is_suspended)


def _user(proof: Proof, name: str) -> UserView:
    return next(one for one in proof.relay.users() if one.name == name)


def _signs_in(proof: Proof, name: str, password: str) -> bool:
    """Come in by the door, in a browser that knows nobody."""
    fresh = proof.hands.page.context.browser
    assert fresh is not None
    page = fresh.new_page(base_url=proof.address)
    try:
        page.goto("/signin")
        page.locator("input[name=name]").fill(name)
        page.locator("input[name=password]").fill(password)
        page.locator("button").first.click()
        page.wait_for_timeout(4_000)
        return not page.locator("input[name=password]").count()
    finally:
        page.close()


@contextmanager
def _endpoint() -> Iterator[tuple[int, list[bytes]]]:
    """Somebody's own server that takes every call."""
    calls: list[bytes] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(self.rfile.read(int(self.headers.get("content-length") or 0)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, calls
        finally:
            server.shutdown()


TRIALS: dict[str, Trial] = {
    "users": user,
    "users-oneself": oneself,
    "webhooks": webhook,
    "logins": login,
    "accounts-suspend": account,
}
