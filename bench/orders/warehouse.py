"""Trials about System, models, free questions, saved ones, and forgetting."""

import shutil
import time
from pathlib import Path

from bench.orders.proof import Proof, Trial
from relay.content.active import model_folder
from relay.control.client import ControlClient, base_url
from relay.saved.views import SavedQuestion

_SLOW = "SELECT sum(sqrt(a.range) * b.range) FROM range(400000) AS a, range(400000) AS b"


def job(proof: Proof) -> None:
    hands = proof.hands
    before = _last_run(proof, "reputation")
    hands.open("/system")
    hands.ask("Run a job now")
    hands.pick("Job", "Reputation")
    told = hands.answer("Run")
    proof.has("ran", told, where="the page")
    proof.until("analytics says that it ran", lambda: _last_run(proof, "reputation") != before)
    proof.audited("job.run", "reputation")
    hands.picture("ran")


def reload(proof: Proof) -> None:
    """The settings file is changed: the difference is shown, taken up, and gone."""
    hands, text = proof.hands, proof.config.read_text()
    hands.open("/system")
    proof.has("no key differs", hands.ask("Compare the settings file"), where="the dialog")
    hands.cancel()
    number = 20_000 + int(time.time()) % 10_000
    try:
        proof.config.write_text(_with_limit(text, number))
        hands.open("/system")
        said = hands.ask("Compare the settings file")
        proof.has("limits.rcpts_per_hour", said, where="the dialog")
        hands.answer("Take it up")
        proof.has("limits.rcpts_per_hour", hands.told(), where="the page")
        proof.audited("reload")
        proof.config.write_text(
            text.replace("[limits]", "[limits]\nnonsense = 1")
            if "[limits]" in text
            else text + "\n[limits]\nnonsense = 1\n"
        )
        hands.open("/system")
        said = hands.ask("Compare the settings file")
        proof.has("nonsense", said, where="the dialog, of a wrong key,")
    finally:
        proof.config.write_text(text)
        proof.cli("reload", is_json=False)


def model(proof: Proof) -> None:
    """A candidate scores, then the one before it again."""
    hands = proof.hands
    used = proof.relay.model().model
    folder = proof.settings.dir / "models" / "trial-candidate"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(model_folder(proof.settings, used), folder)
    hands.open("/lab")
    hands.ask("Promote another")
    hands.pick("Model", "trial-candidate")
    proof.saw("without a reason it cannot be pressed", not hands.can("Promote"))
    hands.fill("Because", "better at invoices")
    told = hands.answer("Promote")
    proof.has("scores from now on", told, where="the page")
    proof.saw("it is in use", Path(proof.relay.model().model).name == "trial-candidate")
    proof.audited("model.promote", "trial-candidate")
    _close(proof)
    proof.shows("better at invoices")
    hands.picture("promoted")
    hands.ask("Roll back")
    hands.answer("Roll back")
    proof.saw("the one before scores again", proof.relay.model().model == used, proof.relay.model().model)
    proof.audited("model.rollback")


def question(proof: Proof) -> None:
    """A free SELECT is answered; one with a fault is explained; a slow one is given up."""
    hands = proof.hands
    hands.open("/data_room")
    hands.fill("SELECT", "SELECT outcome, count(*) AS n FROM recipient GROUP BY ALL ORDER BY 1", within=hands.main)
    hands.press("Run")
    proof.shows("delivered")
    hands.fill("SELECT", "SELECT outcom FROM recipient", within=hands.main)
    hands.press("Run")
    proof.shows("outcom")
    proof.until("it says what would be right", lambda: "outcome" in hands.shown())
    hands.picture("a fault")
    hands.fill("SELECT", "DELETE FROM recipient", within=hands.main)
    hands.press("Run")
    proof.shows("No answer")
    hands.picture("delete")
    hands.fill("SELECT", _SLOW, within=hands.main)
    began = time.monotonic()
    hands.press("Run")
    hands.main.get_by_role("button", name="Cancel").wait_for()
    hands.picture("running")
    hands.press("Cancel")
    proof.until("it is given up", lambda: "No answer" in hands.shown(), 10)
    proof.saw("within seconds", time.monotonic() - began < 15, time.monotonic() - began)
    hands.picture("given up")
    text = hands.main.get_by_label("SELECT").first.input_value()
    proof.saw("the question is still there", text == _SLOW, text)


def saved(proof: Proof) -> None:
    """A search and a question are kept, found again, and removed."""
    for path, kind, box, text in (
        ("/messages?q=delivered:N", "search", "Query", "delivered:N"),
        ("/data_room", "sql", "SELECT", "SELECT 41 + 1 AS answer"),
    ):
        _saved(proof, path, kind, (box, text))


def _saved(proof: Proof, path: str, kind: str, asked: tuple[str, str]) -> None:
    hands, (box, text), name = proof.hands, asked, f"mine {int(time.time())}"
    hands.open(path)
    if kind == "sql":
        hands.fill(box, text, within=hands.main)
    hands.press("Saved")
    body = hands.page.get_by_test_id("stPopoverBody")
    hands.fill("Keep this one as", name, within=body)
    hands.picture("naming")
    hands.press("Save", within=body)
    proof.until(
        f"the {kind} is kept for the person",
        lambda: any(one.name == name for one in _kept(proof)),
    )
    hands.picture("kept")
    hands.open(path.partition("?")[0])
    hands.press("Saved")
    hands.press(name, within=hands.page.get_by_test_id("stPopoverBody"))
    proof.until(
        "choosing it writes it into the box",
        lambda: hands.main.get_by_label(box, exact=True).first.input_value() == text,
    )
    hands.picture("used")
    hands.open(path.partition("?")[0])
    hands.press("Saved")
    hands.press("Remove", within=hands.page.get_by_test_id("stPopoverBody"))
    proof.until("removing it removes it", lambda: not any(one.name == name for one in _kept(proof)))


def forget(proof: Proof) -> None:
    """A recipient is forgotten: first what would become of it, then it is done."""
    hands = proof.hands
    address = str(
        proof.queries.sql(
            "SELECT any_value(recipient) AS a FROM recipient WHERE outcome = 'delivered' "
            "AND NOT ends_with(recipient, '.invalid')"
        )["a"][0]
    )
    hands.open("/data_room?part=Retention")
    hands.ask("Forget a person")
    hands.fill("Address", "not an address")
    hands.picture("a slip")
    proof.has("not an address", hands.read(), where="the dialog")
    hands.fill("Address", address)
    hands.dialog.get_by_text("would be").first.wait_for(state="attached")  # a cell of a table is drawn, not shown
    hands.picture("what would be")
    proof.saw("not before it is written once more", not hands.can("Forget"))
    hands.fill("Write it once more: it cannot be undone", address)
    hands.answer("Forget")
    proof.until("it is told", lambda: "forgotten" in hands.told() or "forgotten" in hands.shown())
    left = proof.queries.sql(f"SELECT count(*) AS n FROM recipient WHERE recipient = '{address}'")["n"][0]
    proof.saw("the warehouse does not have it", left == 0, left)
    proof.saw(
        "audit: forget by the person",
        any(one.command == "forget" and one.principal == proof.person for one in proof.relay.audit(limit=20)),
    )


def _last_run(proof: Proof, name: str) -> object:
    return next(row["last_started_at"] for row in proof.queries.table("jobs").to_pylist() if row["job"] == name)


def _kept(proof: Proof) -> list[SavedQuestion]:
    token = next(str(one["value"]) for one in proof.hands.page.context.cookies())
    with ControlClient(base_url(proof.settings.control.listen), token) as own:
        return own.saved_questions()


def _with_limit(text: str, number: int) -> str:
    line = f"rcpts_per_hour = {number}"
    return text.replace("[limits]", f"[limits]\n{line}", 1) if "[limits]" in text else f"{text}\n[limits]\n{line}\n"


def _close(proof: Proof) -> None:
    if proof.hands.is_asked():
        proof.hands.press("Close", within=proof.hands.dialog)


TRIALS: dict[str, Trial] = {
    "system-job": job,
    "system-reload": reload,
    "model": model,
    "data-question": question,
    "data-saved": saved,
    "data-forget": forget,
}
