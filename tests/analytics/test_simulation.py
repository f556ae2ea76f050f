"""The demo's world, texts, history, receivers and folder; the whole story is in tests/e2e/test_demo.py."""

import asyncio
import email
import email.policy
import random
import re
import smtplib
import socket
import stat
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analytics.simulation.check import Score, judge
from analytics.simulation.chronicle import NODE
from analytics.simulation.history import Written, write_week
from analytics.simulation.installation import DEFAULT_PORTS, DemoError, Installation, InstallOptions, install
from analytics.simulation.ledger import Ledger, Sent, delays, p95
from analytics.simulation.population import Kind
from analytics.simulation.receivers import CATCH_ALL, Grievance, Receivers
from analytics.simulation.samples import Sample, Samples
from analytics.simulation.texts import Letter, abusive_letter, honest_letter
from analytics.simulation.world import EndSender, World, activity, make_world, seeded
from relay.account import Account
from relay.clock import SystemClock
from relay.content.protocol import ContentResult
from relay.control.state.lock import AlreadyRunning, acquire
from relay.envelope import Submission
from relay.events import Bounce, Complaint, Delivery, Features, Judged, Reception, decode
from relay.front.identity import identify
from relay.settings import load

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(1)


# ---- world and texts ----


def test_same_seed_makes_the_same_world(world: World) -> None:
    assert world == make_world(1)


def test_another_seed_makes_other_people(world: World) -> None:
    assert world.customers[0].recipients != make_world(2).customers[0].recipients


def test_a_dozen_accounts_of_two_resellers_and_one_shared_server_with_40_end_senders(world: World) -> None:
    shared = [one for one in world.customers if one.shared_host]

    assert len(world.customers) == 12
    assert len({one.reseller for one in world.customers}) == 2
    assert [len(one.senders) for one in shared] == [40]
    assert sum(one.share for one in world.customers) == pytest.approx(1.0)


def test_every_address_lies_in_a_reserved_domain(world: World) -> None:
    addresses = [address for one in world.customers for address in one.recipients] + list(world.bought_list)
    domains = {address.rpartition("@")[2] for address in addresses}
    own = {domain for one in world.customers for domain in one.domains}

    assert not [domain for domain in domains | own if not domain.endswith(".example")]
    assert all(world.provider_of(address) for address in addresses)


def test_one_to_two_percent_of_honest_recipients_are_unknown_and_more_of_a_bought_list(world: World) -> None:
    honest = [address for one in world.customers for address in one.recipients]

    assert 0.005 < _dead_share(world, honest) < 0.02
    assert _dead_share(world, world.bought_list) == pytest.approx(0.08, abs=0.01)


def test_same_dice_write_the_same_letter(world: World) -> None:
    sender = world.customers[1].senders[0]

    letters = [honest_letter(seeded("same"), sender, "a.b@gmail.example", NOW) for _ in range(2)]

    assert letters[0] == letters[1]


def test_every_sender_writes_whole_mail_in_its_language(world: World) -> None:
    rng = random.Random(3)
    for customer in world.customers:
        for sender in customer.senders:
            for _ in range(6):
                _assert_whole(honest_letter(rng, sender, rng.choice(customer.recipients), NOW))


def test_spam_is_whole_mail_and_varied(world: World) -> None:
    rng = random.Random(4)
    letters = [abusive_letter(rng, world.victims[0], rng.choice(world.bought_list), NOW) for _ in range(100)]

    for letter in letters:
        _assert_whole(letter)
    assert len({letter.subject for letter in letters}) > 60


def test_all_kinds_and_all_four_languages_are_written(world: World) -> None:
    assert {kind for one in world.customers for sender in one.senders for kind in sender.kinds} == set(Kind)
    assert {sender.language for one in world.customers for sender in one.senders} == {"en", "de", "es", "fr"}


def test_the_relay_finds_the_end_sender_the_world_means(world: World) -> None:
    rng = random.Random(5)
    for customer in world.customers:
        account = Account(customer.account, shared_host=customer.shared_host)
        for sender in customer.senders:
            letter = honest_letter(rng, sender, customer.recipients[0], NOW)
            assert _identity(account, letter) == (sender.key, f"{sender.site}/{sender.script}".strip("/"))


def test_spam_carries_the_identity_of_the_hacked_site_only(world: World) -> None:
    victim = world.victims[3]
    letter = abusive_letter(random.Random(6), victim, world.bought_list[0], NOW)

    assert _identity(Account("sunhost", shared_host=True), letter)[0] == victim.key


def test_offices_rest_at_night_and_campaigns_start_on_their_days() -> None:
    assert activity("office", 1, 3) < 0.1 * activity("office", 1, 10)
    assert activity("campaign", 6, 8) < 0.5 * activity("campaign", 1, 8)


def _dead_share(world: World, addresses: Sequence[str]) -> float:
    return sum(not world.exists(address) for address in addresses) / len(addresses)


def _assert_whole(letter: Letter) -> None:
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    assert max(len(line) for line in letter.content.split(b"\r\n")) < 998
    message = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert not message.defects
    plain = message.get_body(("plain",))
    assert plain is not None
    text = plain.get_content()
    assert message["Subject"] == letter.subject
    assert not re.search(r"\[[^\]]*\||\{[a-z]", text + letter.subject)
    page = message.get_body(("html",))
    assert page is None or page.get_content().strip().endswith("</html>")


def _identity(account: Account, letter: Letter) -> tuple[str, str]:
    submission = Submission(
        account=account,
        credential=account.name,
        client_ip="127.0.0.1",
        helo="srv1.sunhost.example",
        tls="",
        door="smtp",
        mail_from=letter.mail_from,
        recipients=(letter.recipient,),
        content=letter.content,
        received_at=NOW,
    )
    sender = identify(submission, letter.content).sender
    return sender.key, sender.script


# ---- history ----


@pytest.fixture(scope="module")
def week(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    folder = tmp_path_factory.mktemp("journal")
    return folder, write_week(folder, world, _samples(world), NOW, 6.0)


@pytest.fixture(scope="module")
def records(week: tuple[Path, Written]) -> list[object]:
    return [decode(line) for path in sorted(week[0].iterdir()) for line in path.read_bytes().splitlines()]


def test_history_is_a_week_of_closed_files_of_a_node_of_its_own(week: tuple[Path, Written]) -> None:
    folder, written = week

    assert 30_000 <= written.messages <= 60_000
    assert len(list(folder.iterdir())) == written.files
    assert all(
        re.fullmatch(rf"(relay|analytics)-{NODE}-\d+T\d+Z-\d+-\d{{8}}\.jsonl", one.name) for one in folder.iterdir()
    )


def test_history_records_are_unique_demo_data_of_the_last_week(records: list[object]) -> None:
    stamps = Counter((one.__class__ is Complaint, one.node, one.boot, one.seq) for one in records)  # type: ignore[attr-defined]
    receptions = [one for one in records if isinstance(one, Reception)]

    assert max(stamps.values()) == 1
    assert {one.node for one in records} == {NODE}  # type: ignore[attr-defined]
    assert all(one.demo for one in records if isinstance(one, Judged))
    assert all(NOW - timedelta(days=7) <= one.received_at <= NOW for one in receptions)


def test_history_delivers_or_bounces_each_accepted_message_once(records: list[object]) -> None:
    accepted = {one.message_id for one in records if isinstance(one, Reception) and one.action == "accept"}
    ended = Counter(one.message_id for one in records if isinstance(one, Delivery | Bounce))

    assert accepted <= ended.keys()
    assert max(ended.values()) == 1


def test_history_bounces_one_to_two_percent(records: list[object]) -> None:
    kinds = Counter(type(one) for one in records)

    assert 0.005 < kinds[Bounce] / kinds[Delivery] < 0.025


def _samples(world: World) -> Samples:
    rng = random.Random(7)
    spam = [abusive_letter(rng, world.victims[0], one, NOW) for one in world.bought_list[:12]]
    honest = {
        sender.key: [_sample(honest_letter(rng, sender, one.recipients[0], NOW), 0.02)]
        for one in world.customers
        for sender in one.senders
    }
    return Samples(honest, [_sample(letter, 0.97) for letter in spam])


def _sample(letter: Letter, score: float) -> Sample:
    return Sample(
        letter, ContentResult(score, "m", [], Features(), b"", letter.subject, "a@b.example", letter.header_id)
    )


# ---- receivers ----


class _HastyClock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@asynccontextmanager
async def _receivers(world: World, ledger: Ledger, complaints: list[Grievance]) -> AsyncIterator[Receivers]:
    receivers = Receivers(world, ledger, _HastyClock(), complaints.append)
    await receivers.open()
    try:
        yield receivers
    finally:
        await receivers.close()


def _hand_over(port: int, letter: Letter) -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", port, "relay.example", timeout=10) as smtp:
        smtp.starttls()
        smtp.ehlo("relay.example")
        smtp.mail(letter.mail_from)
        code, text = smtp.rcpt(letter.recipient)
        if code == 250:
            code, text = smtp.data(letter.content)
        return code, text.decode()


def _letters(world: World, count: int, provider: str) -> list[Letter]:
    rng = random.Random(8)
    found: list[Letter] = []
    while len(found) < count:
        recipient = rng.choice(world.bought_list)
        if world.exists(recipient) and recipient.endswith(provider):
            found.append(abusive_letter(rng, world.victims[0], recipient, NOW))
    return found


def _begin(ledger: Ledger, letter: Letter, sender: EndSender, *, abusive: bool) -> Sent:
    return ledger.begin(letter, sender.key, abusive=abusive, phase="calm", living=True)


def test_mail_that_arrives_is_in_the_ledger(world: World) -> None:
    async def run() -> Sent:
        ledger = Ledger()
        letter = _letters(world, 1, "gmail.example")[0]
        entry = _begin(ledger, letter, world.victims[0], abusive=False)
        async with _receivers(world, ledger, []) as receivers:
            code, text = await asyncio.to_thread(_hand_over, receivers.ports["gmail.example"], letter)
        assert (code, "gsmtp" in text) == (250, True)
        return entry

    assert len(asyncio.run(run()).arrivals) == 1


def test_unknown_users_are_refused_in_the_providers_own_words(world: World) -> None:
    dead = next(one for one in world.bought_list if one.endswith("@yahoo.example") and not world.exists(one))

    async def run() -> tuple[int, str]:
        letter = abusive_letter(random.Random(9), world.victims[0], dead, NOW)
        async with _receivers(world, Ledger(), []) as receivers:
            return await asyncio.to_thread(_hand_over, receivers.ports["yahoo.example"], letter)

    code, text = asyncio.run(run())
    assert code == 550
    assert "yahoo.example account" in text


def test_a_greylisted_pair_is_taken_at_a_later_try(world: World) -> None:
    async def run() -> Counter[int]:
        async with _receivers(world, Ledger(), []) as receivers:
            port = receivers.ports["webpost.example"]
            codes: Counter[int] = Counter()
            for letter in _letters(world, 120, "webpost.example"):
                code, text = await asyncio.to_thread(_hand_over, port, letter)
                codes[code] += 1
                if code == 451:
                    assert "Greylisting" in text
                    await _until_taken(port, letter)
            return codes

    codes = asyncio.run(run())
    assert codes.keys() == {250, 451}
    assert codes[451] < 20


async def _until_taken(port: int, letter: Letter) -> None:
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(_hand_over, port, letter))[0] != 250:
            await asyncio.sleep(0.1)


def test_some_recipients_of_spam_complain_and_name_the_relays_message(world: World) -> None:
    async def run() -> list[Grievance]:
        ledger, complaints = Ledger(), list[Grievance]()
        async with _receivers(world, ledger, complaints) as receivers:
            for letter in _letters(world, 30, "gmail.example"):
                entry = _begin(ledger, letter, world.victims[0], abusive=True)
                entry.code, entry.text = 250, "2.0.0 queued as demo1.77"
                await asyncio.to_thread(_hand_over, receivers.ports["gmail.example"], letter)
            async with asyncio.timeout(10):
                while not complaints:
                    await asyncio.sleep(0.02)
        return complaints

    assert {one.message_id for one in asyncio.run(run())} == {"demo1.77"}


def test_what_no_customer_has_sent_is_taken_and_counted_apart(world: World) -> None:
    ledger = Ledger()

    async def run() -> int:
        async with _receivers(world, ledger, []) as receivers:
            letter = _letters(world, 1, "gmail.example")[0]
            return (await asyncio.to_thread(_hand_over, receivers.ports[CATCH_ALL.name], letter))[0]

    assert asyncio.run(run()) == 250
    assert (ledger.strangers, ledger.sent) == (1, {})


# ---- the demo's folder ----


def _install(folder: Path, world: World, *, reset: bool = False, any_ports: bool = True) -> tuple[Installation, int]:
    """Install, and tell how often a new demo was filled."""
    filled: list[Installation] = []

    async def fill(made: Installation) -> None:
        filled.append(made)

    ports = {one.name: 40_000 for one in (*world.providers, CATCH_ALL)}
    made = asyncio.run(install(folder, world, SystemClock(), ports, InstallOptions(fill, reset, any_ports)))
    return made, len(filled)


@pytest.fixture(scope="module")
def small_world(world: World) -> World:
    return world._replace(customers=world.customers[:2])  # each account costs a password hash


def test_a_new_demo_is_filled_once_and_kept(small_world: World, tmp_path: Path) -> None:
    first, filled_first = _install(tmp_path / "demo", small_world)
    second, filled_second = _install(tmp_path / "demo", small_world)

    assert (filled_first, filled_second) == (1, 0)
    assert first.memory.passwords == second.memory.passwords
    assert first.memory.passwords.keys() == {"sunhost", "ledgerly"}


def test_reset_starts_over(small_world: World, tmp_path: Path) -> None:
    first, _ = _install(tmp_path / "demo", small_world)
    second, filled = _install(tmp_path / "demo", small_world, reset=True)

    assert filled == 1
    assert first.memory.passwords != second.memory.passwords


def test_an_unfinished_demo_is_made_again(small_world: World, tmp_path: Path) -> None:
    made, _ = _install(tmp_path / "demo", small_world)
    made.memory.is_complete = False
    made.remember()

    assert _install(tmp_path / "demo", small_world)[1] == 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_folder_with_something_else_is_left_alone(small_world: World, tmp_path: Path, reset: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(DemoError, match="not a demo"):
        _install(tmp_path, small_world, reset=reset)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("reset", [False, True])
def test_a_running_demo_is_not_touched(small_world: World, tmp_path: Path, reset: bool) -> None:
    made, _ = _install(tmp_path / "demo", small_world)
    before = made.config.read_text()

    with acquire(made.folder), pytest.raises(AlreadyRunning):
        _install(tmp_path / "demo", small_world, reset=reset)

    assert made.config.read_text() == before


def test_settings_are_a_demos_and_let_nothing_leave(world: World, small_world: World, tmp_path: Path) -> None:
    settings = load(_install(tmp_path / "demo", small_world)[0].config)
    routed = {route.domain for route in settings.route}

    assert settings.demo
    assert settings.delivery.mode == "smarthost"  # never "direct": what no route names stays here too
    assert settings.delivery.smarthost.startswith("127.0.0.1:")
    assert routed == {domain for one in world.providers for domain in one.domains}
    assert {route.host for route in settings.route} == {"127.0.0.1"}
    assert all(one.startswith("127.0.0.1:") for one in (*settings.smtp.listen, *settings.smtp.submission))


def test_passwords_are_readable_by_the_owner_only(small_world: World, tmp_path: Path) -> None:
    _install(tmp_path / "demo", small_world)

    assert stat.S_IMODE((tmp_path / "demo" / "demo.json").stat().st_mode) == 0o600


def test_a_default_port_that_is_taken_is_named_and_the_next_free_one_used(small_world: World, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", DEFAULT_PORTS["control"]))
            other.listen()
        except OSError:
            pass  # somebody else has it: just as well
        made, _ = _install(tmp_path / "demo", small_world, any_ports=False)

    chosen = made.memory.ports["control"]
    assert chosen > DEFAULT_PORTS["control"]
    assert chosen not in DEFAULT_PORTS.values()
    assert any("8025 is taken by" in note and f"port {chosen}" in note for note in made.notes)


# ---- figures ----


def test_a_message_without_end_is_lost_until_it_arrives_or_is_refused(world: World) -> None:
    ledger, letter = Ledger(), _letters(world, 1, "gmail.example")[0]
    entry = _begin(ledger, letter, world.victims[0], abusive=False)
    assert ledger.open_ends() == []

    entry.code = 250
    assert ledger.open_ends() == [entry]

    ledger.arrived(letter.header_id, 5.0)
    assert ledger.open_ends() == []


def test_a_second_arrival_is_a_duplicate(world: World) -> None:
    ledger, letter = Ledger(), _letters(world, 1, "gmail.example")[0]
    entry = _begin(ledger, letter, world.victims[0], abusive=False)
    entry.began_unix = 4.0

    ledger.arrived(letter.header_id, 5.0)
    ledger.arrived(letter.header_id, 6.0)

    assert ledger.duplicates() == 1
    assert delays([entry]) == [1.0]


def test_p95_is_the_nearest_rank() -> None:
    assert p95([3.0, 1.0, 2.0]) == 3.0
    assert p95([]) is None


def _good() -> Score:
    return Score(
        seconds_to_hold=2.0,
        abusive_delivered=15,
        p95_delay_without_s=0.1,
        p95_delay_with_s=0.15,
        ratio=1.5,
        held_released_delivered=True,
        warehouse_equal=True,
    )


def test_a_story_that_went_as_told_is_ok() -> None:
    assert judge(_good()).problems == []
    assert judge(_good()).ok


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds_to_hold", None),
        ("abusive_delivered", 16),
        ("innocents_held", 1),
        ("innocents_refused", 1),
        ("p95_delay_with_s", 0.251),
        ("ratio", None),
        ("held_released_delivered", False),
        ("lost", 1),
        ("duplicated", 1),
        ("warehouse_equal", False),
    ],
)
def test_each_deviation_makes_the_check_fail(field: str, value: float | None) -> None:
    score = _good()
    setattr(score, field, value)

    assert len(judge(score).problems) == 1
    assert not score.ok


def test_a_few_hundredths_of_a_second_are_noise() -> None:
    score = _good()
    score.p95_delay_without_s, score.p95_delay_with_s = 0.02, 0.069

    assert judge(score).ok
