"""`ip`, `pool`, `warmup` and an account's pool: through the API with its roles, and the way a person types them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord

from relay.cli import run
from relay.control.accounts.views import AccountChange, NewAccount, Order
from relay.control.client import ControlClient
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource, PoolOrder, SourceChange, StageOrder, StandOrder
from relay.control.views import Outcome
from relay.delivery.replies import Category
from relay.reply import Reply
from tests.nameserver import answering
from tests.relay.test_cli import folder as folder
from tests.relay.test_cli_accounts import Say
from tests.relay.test_cli_accounts import say as say
from tests.relay.test_control_api import START, Room, with_room

Question = Callable[[EgressCalls], object]
BLOCK = Reply(550, "5.7.1", "Client host [127.0.0.2] blocked using zen.example.org")

CHANGES: dict[str, Question] = {
    "ip add": lambda egress: egress.add_source(NewSource(name="ip3", address="127.0.0.4")),
    "ip set": lambda egress: egress.change_source("ip1", SourceChange(ehlo="other.example.org")),
    "quarantine": lambda egress: egress.stand("ip1", "quarantine"),
    "retire": lambda egress: egress.stand("ip1", "retire"),
    "activate": lambda egress: egress.stand("ip1", "activate"),
    "ip rm": lambda egress: egress.remove_source("ip2"),
    "pool set": lambda egress: egress.set_pool("good", PoolOrder(members={"ip1": 2})),
    "pool rm": lambda egress: egress.remove_pool("good"),
    "warmup start": lambda egress: egress.switch_warmup("ip1", "start"),
    "warmup stop": lambda egress: egress.switch_warmup("ip1", "stop"),
    "warmup set": lambda egress: egress.set_stage("ip1", StageOrder(provider="google", stage=4)),
}
LOOKS: dict[str, Question] = {
    "ip ls": lambda egress: egress.sources(),
    "ip show": lambda egress: egress.source("ip1"),
    "pool ls": lambda egress: egress.pools(),
    "pool show": lambda egress: egress.pool("fair"),
    "warmup ls": lambda egress: egress.warmups(),
    "warmup show": lambda egress: egress.warmup("ip1"),
}


def of(question: Question) -> Callable[[ControlClient], object]:
    return lambda client: question(EgressCalls(client))


async def furnish(room: Room) -> None:
    for number in (1, 2):
        new = NewSource(name=f"ip{number}", address=f"127.0.0.{number + 1}", ehlo=f"out{number}.example.org")
        await room.ask(of(lambda egress, new=new: egress.add_source(new)))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("token", "may_look", "may_change"),
    [
        ("viewer-token", True, False),
        ("abuse-token", True, False),
        ("operator-token", True, True),
        ("reseller-token", False, False),
    ],
)
def test_operators_who_see_the_whole_tree_change_it_others_look_or_not_even_that(
    tmp_path: Path, token: str, may_look: bool, may_change: bool
) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        for questions, allowed in ((LOOKS, may_look), (CHANGES, may_change)):
            for name, question in questions.items():
                if allowed:
                    await room.ask(of(question), token)
                else:
                    assert (await room.refusal(of(question), token)).status == 403, name

    with_room(tmp_path, work)


def test_each_change_is_audited_and_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        before = await room.ask(lambda relay: [look(EgressCalls(relay)) for look in LOOKS.values()])
        logged = len(await room.ask(lambda relay: relay.audit()))
        dry = Order(dry_run=True)
        for question in (
            lambda egress: egress.add_source(NewSource(name="ip3", address="127.0.0.4", dry_run=True)),
            lambda egress: egress.change_source("ip1", SourceChange(ehlo="x.example.org", dry_run=True)),
            lambda egress: egress.stand("ip1", "quarantine", StandOrder(dry_run=True)),
            lambda egress: egress.remove_source("ip2", dry),
            lambda egress: egress.set_pool("good", PoolOrder(members={"ip1": 2}, dry_run=True)),
            lambda egress: egress.switch_warmup("ip1", "start", dry),
            lambda egress: egress.set_stage("ip1", StageOrder(provider="google", stage=4, dry_run=True)),
        ):
            assert (await room.ask(of(question))).dry_run  # type: ignore[attr-defined]
        assert before == await room.ask(lambda relay: [look(EgressCalls(relay)) for look in LOOKS.values()])
        assert len(await room.ask(lambda relay: relay.audit())) == logged

        for question in CHANGES.values():
            await room.ask(of(question))
        commands = [entry.command for entry in await room.ask(lambda relay: relay.audit())][::-1][logged:]
        assert commands == [
            *("ip.add", "ip.set", "ip.quarantine", "ip.retire", "ip.activate", "ip.rm"),
            *("pool.set", "pool.rm", "warmup.start", "warmup.stop", "warmup.set"),
        ]

    with_room(tmp_path, work)


def test_complaint_counts_for_the_warm_up_of_the_address_it_left_from(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        await room.ask(of(lambda egress: egress.switch_warmup("ip1", "start")))
        said = {"kind": "complaint", "sender": "acme|mailfrom|a@acme.example", "destination": "google"}
        for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3", "", "192.0.2.1"):
            outcome = Outcome(**said, source=source)  # type: ignore[arg-type]
            await room.ask(lambda relay, outcome=outcome: relay.outcome(outcome))
        bounce = Outcome(kind="hard_bounce", sender=said["sender"], destination="google", source="127.0.0.2")
        await room.ask(lambda relay: relay.outcome(bounce))

        (plan,) = [
            one for one in (await room.ask(of(lambda egress: egress.warmup("ip1")))).plans if one.provider == "google"
        ]  # type: ignore[attr-defined]

        assert plan.complaints == 2

    with_room(tmp_path, work)


def test_why_a_source_was_quarantined_stands_in_the_audit_log(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        order = StandOrder(reason="listed on zen.example: css", evidence={"zone": "zen.example"})

        await room.ask(lambda relay: EgressCalls(relay).stand("ip1", "quarantine", order))

        newest = (await room.ask(lambda relay: relay.audit()))[0]
        assert (newest.command, newest.target) == ("ip.quarantine", "ip1")
        assert newest.detail == {"zone": "zen.example", "reason": "listed on zen.example: css"}

    with_room(tmp_path, work)


def test_nonsense_is_refused_with_the_fix(tmp_path: Path) -> None:
    wrong: list[tuple[int, str, Question]] = [
        (422, "does not have it", lambda egress: egress.add_source(NewSource(name="x", address="192.0.2.77"))),
        (422, "Write one like", lambda egress: egress.add_source(NewSource(name="x", address="localhost"))),
        (422, "cannot be sent from", lambda egress: egress.add_source(NewSource(name="x", address="0.0.0.0"))),
        (422, "take another", lambda egress: egress.add_source(NewSource(name="default", address="127.0.0.9"))),
        (422, "ehlo|domain", lambda egress: egress.add_source(NewSource(name="x", address="127.0.0.9", ehlo="a b"))),
        (409, "'ip1'", lambda egress: egress.add_source(NewSource(name="x", address="127.0.0.2"))),
        (409, "'ip2'", lambda egress: egress.change_source("ip1", SourceChange(address="127.0.0.3"))),
        (404, "mailweir ip ls", lambda egress: egress.stand("nobody", "retire")),
        (404, "mailweir ip ls", lambda egress: egress.set_pool("good", PoolOrder(members={"nobody": 1}))),
        (422, "between 1 and", lambda egress: egress.set_pool("good", PoolOrder(members={"ip1": 0}))),
        (422, "pool rm", lambda egress: egress.set_pool("good", PoolOrder(members={}))),
        (404, "mailweir pool ls", lambda egress: egress.pool("nobodys")),
        (422, "google", lambda egress: egress.set_stage("ip1", StageOrder(provider="gogle", stage=1))),
        (422, "between 1 and 30", lambda egress: egress.set_stage("ip1", StageOrder(provider="google", stage=31))),
    ]

    async def work(room: Room) -> None:
        await furnish(room)
        for status, words, question in wrong:
            refused = await room.refusal(of(question))
            assert refused.status == status, refused.detail
            assert any(word in refused.detail for word in words.split("|")), refused.detail
        forced = NewSource(name="x", address="192.0.2.77", force=True)
        await room.ask(of(lambda egress: egress.add_source(forced)))

    with_room(tmp_path, work)


def test_an_account_gets_a_pool_of_its_own_that_cannot_go_while_it_is_used(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="isp")))
        own = AccountChange(pool="own")
        assert "pool set own" in (await room.refusal(lambda relay: relay.change_account("acme", own))).detail
        await room.ask(of(lambda egress: egress.set_pool("own", PoolOrder(members={"ip1": 1}))))

        changed = await room.ask(lambda relay: relay.change_account("acme", own))
        assert (changed.account.pool, changed.undo) == ("own", "mailweir account set acme --pool ''")
        assert (await room.refusal(lambda relay: relay.change_account("shop", own), "reseller-token")).status == 403
        refused = await room.refusal(of(lambda egress: egress.remove_pool("own")))
        assert (refused.status, "acme" in refused.detail) == (409, True)
        assert (await room.ask(of(lambda egress: egress.pool("own")))).accounts == ["acme"]  # type: ignore[attr-defined]
        await room.ask(lambda relay: relay.change_account("acme", AccountChange(pool="")))
        await room.ask(of(lambda egress: egress.remove_pool("own")))

    with_room(tmp_path, work)


def test_what_destinations_hold_against_a_source_is_shown_until_it_is_activated(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        room.egress.heard("ip1", "outlook", Category.REPUTATION_BLOCK, BLOCK, START.timestamp())

        view = await room.ask(lambda relay: EgressCalls(relay).source("ip1"))
        assert [(one.destination, one.kind) for one in view.troubles] == [("outlook", "resting")]
        assert view.troubles[0].until_at is not None
        assert (view.troubles[0].until_at - START).total_seconds() == 4 * 3600
        assert [one.name for one in room.egress.candidates("fair", "outlook", START.timestamp())] == ["ip2"]
        assert (await room.ask(lambda relay: EgressCalls(relay).stand("ip1", "activate"))).troubles == []

    with_room(tmp_path, work)


def test_a_stage_set_by_hand_holds_from_the_next_message_on(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        await room.ask(lambda relay: EgressCalls(relay).switch_warmup("ip1", "start"))
        view = await room.ask(lambda relay: EgressCalls(relay).set_stage("ip1", StageOrder(provider="google", stage=4)))

        assert view.undo == "mailweir warmup set ip1 --provider google --stage 1"
        plan = next(plan for plan in view.plans if plan.provider == "google")
        assert (plan.stage, plan.quota, plan.per_hour, plan.is_warm) == (4, 800, 50, False)
        assert room.egress.warmup.state("ip1", "google", START.timestamp()).quota == 800

    with_room(tmp_path, work)


# ---- the command line, without a relay ----

UNDONE = [
    "ip set ip1 --ehlo other.example.org --address 127.0.0.9",
    "ip quarantine ip1",
    "ip retire ip2",
    "ip rm ip3",
    "pool set suspect ip1 ip2=3",
    "pool set new ip1",
    "pool rm suspect",
    "warmup start ip1",
    "warmup stop ip3",
    "account set acme --pool own",
]


def everything(say: Say) -> Any:
    views = [json.loads(say(f"{group} ls --json")) for group in ("ip", "pool", "warmup", "account")]
    return json.loads(json.dumps(views), object_hook=lambda one: {**one, "created_at": None})


def test_every_undo_line_takes_the_change_back(say: Say) -> None:
    say("account add acme --no-login")
    for number in (1, 2, 3):
        say(f"ip add ip{number} 127.0.0.{number + 1} --ehlo out{number}.example.org" + " --warm-up" * (number == 3))
    say("pool set suspect ip2=2")
    say("pool set own ip1 ip2=2")
    before = everything(say)

    for line in UNDONE:
        would = say(f"{line} --dry-run")
        assert ("would" in would, "undo" in would, everything(say)) == (True, False, before), line
        undo = say(line).splitlines()[-1]
        assert undo.startswith("undo: mailweir "), line
        assert everything(say) != before, line
        say(undo.removeprefix("undo: mailweir "))
        assert everything(say) == before, line


def test_people_are_told_what_a_change_brings_about(say: Say) -> None:
    assert "mailweir ip add" in say("ip ls")
    assert "mailweir warmup start ip1" in say("ip add ip1 127.0.0.2")
    assert "no other source is active" in say("ip quarantine ip1")
    say("ip activate ip1")
    say("ip add ip2 127.0.0.3 --warm-up")
    say("pool set suspect ip2")
    assert "its mail leaves through" in say("ip quarantine ip2")
    assert "start it first" in say("warmup ls")
    assert [row.split() for row in say("pool ls").splitlines()][3] == ["suspect", "ip2", "ip1"]
    assert run(["pool", "set", "good", "ip1=x"]) == 2


ZONE = """
2.0.0.127.in-addr.arpa. 300 IN PTR out1.example.org.
out1.example.org.       300 IN A 127.0.0.2
3.0.0.127.in-addr.arpa. 300 IN PTR liar.example.org.
liar.example.org.       300 IN A 127.0.0.9
out3.example.org.       300 IN A 127.0.0.4
5.0.0.127.in-addr.arpa. 300 IN PTR out1.example.org.
"""


class _Zone:
    def resolve(self, request: DNSRecord, _handler: Any) -> DNSRecord:
        reply, name, kind = request.reply(), request.q.qname, QTYPE[request.q.qtype]
        records = [record for record in RR.fromZone(ZONE) if record.rname == name]
        for record in records:
            if QTYPE[record.rtype] == kind:
                reply.add_answer(record)
        if not records:
            reply.header.rcode = RCODE.SERVFAIL if "servfail" in str(name) else RCODE.NXDOMAIN
        return reply


@pytest.fixture
def name_server(folder: Path) -> Iterator[None]:
    with answering(_Zone()) as port:
        with (folder / "mailweir.toml").open("a") as file:
            file.write(f'[delivery]\nnameservers = ["127.0.0.1:{port}"]\n')
        yield


@pytest.mark.usefixtures("name_server")
@pytest.mark.parametrize(
    ("address", "ehlo", "code", "words"),
    [
        ("127.0.0.2", "out1.example.org", 0, "agree"),
        ("127.0.0.3", "out1.example.org", 1, "does not point back"),
        ("127.0.0.4", "out3.example.org", 1, "no reverse name"),
        ("127.0.0.2", "out3.example.org", 1, "out3.example.org does not point to 127.0.0.2"),
        ("127.0.0.2", "servfail.example.org", 1, "look-up of servfail.example.org failed"),
    ],
)
def test_ip_check_says_whether_dns_agrees(
    say: Say, capsys: pytest.CaptureFixture[str], address: str, ehlo: str, code: int, words: str
) -> None:
    say(f"ip add ip1 {address} --ehlo {ehlo}")

    assert run(["ip", "check", "ip1"]) == code
    assert words in capsys.readouterr().out
