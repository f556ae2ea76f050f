"""Countries and autonomous systems of logins, from MMDB files made here by the published format."""

import logging
import smtplib
from pathlib import Path

import pytest

from analytics.doctor import Level, _places
from relay.account import Account
from relay.events import Reception
from relay.places.files import Places, checked
from relay.places.place import NOWHERE, Place, PlaceOf, nowhere
from relay.policy.decisions.decision import Effect
from relay.policy.signals.logins import Logins
from relay.policy.signals.origins import MOST, Roaming
from relay.policy.signals.signal import SignalState
from relay.policy.triggers.sequential import alarms
from relay.settings import Places as PlacesSettings
from relay.settings import Policy, Settings, SettingsError
from tests.builders import Installation, until
from tests.mmdb import write
from tests.sink import Sink

POLICY = Policy()
DAY, HOUR = 86_400.0, 3_600.0
MONDAY = 1_780_272_000.0
HOME, AWAY, FAR = "192.0.2.7", "198.51.100.9", "2001:db8:7::1"
GERMANY = Place("DE", 64_501, "Hoster GmbH")
BRAZIL = Place("BR", 64_500, "Example Telecom")


def countries(path: Path, away: str = "BR") -> Path:
    write(
        path,
        {
            "192.0.2.0/24": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}},
            "198.51.100.0/24": {"country": {"iso_code": away}},
            "2001:db8:7::/48": {"registered_country": {"iso_code": "US"}},
        },
    )
    return path


def systems(path: Path) -> Path:
    write(
        path,
        {
            "192.0.2.0/24": {"autonomous_system_number": 64_501, "autonomous_system_organization": "Hoster GmbH"},
            "198.51.100.0/24": {"asn": "AS64500", "as_name": "Example Telecom"},
        },
    )
    return path


class Asked:
    """Who is asked, as Logins would keep it."""

    def __init__(self) -> None:
        self.of: PlaceOf = nowhere

    def use(self, place_of: PlaceOf) -> None:
        self.of = place_of


# ---- files ----


def test_country_and_system_come_from_two_files_of_two_makers(tmp_path: Path) -> None:
    asked = Asked()

    Places([countries(tmp_path / "c.mmdb"), systems(tmp_path / "a.mmdb")], asked.use)

    assert asked.of(HOME) == GERMANY
    assert asked.of(AWAY) == BRAZIL
    assert asked.of(FAR) == Place("US")
    assert asked.of("203.0.113.1") == asked.of("unknown") == asked.of("") == NOWHERE


def test_without_files_nobody_is_asked() -> None:
    asked = Asked()

    Places([], asked.use)

    assert asked.of is nowhere


@pytest.mark.parametrize("what", ["missing", "text", "cut", "empty", "folder", "useless"])
def test_a_file_that_is_no_database_is_named_with_its_key_and_mail_goes_on(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, asked = tmp_path / "c.mmdb", Asked()
    if what == "folder":
        path.mkdir()
    elif what == "useless":
        write(path, {"192.0.2.0/24": {"postal": "12345"}})
    elif what != "missing":
        whole = countries(path).read_bytes()
        path.write_bytes({"text": b"hello\n" * 99, "cut": whole[:-120], "empty": b""}[what])

    with pytest.raises(SettingsError, match=rf"places\.files = {path}: .*(Fetch|Check|Give)"):
        checked([path])
    with caplog.at_level(logging.ERROR):
        Places([path, systems(tmp_path / "a.mmdb")], asked.use)

    assert str(path) in caplog.text
    assert asked.of(HOME) == Place("", 64_501, "Hoster GmbH")


def test_no_damage_within_a_file_reaches_the_mail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = countries(tmp_path / "c.mmdb").read_bytes()
    path = tmp_path / "damaged.mmdb"
    taken = 0
    for at in range(0, len(sound), 3):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :])
        asked = Asked()
        Places([path], asked.use)
        taken += asked.of is not nowhere
        for address in (HOME, AWAY, FAR, "203.0.113.1"):
            assert asked.of(address).country in ("", "DE", "BR", "US") or len(asked.of(address).country) == 2

    assert taken > 10  # some damage is only found by who looks there


def test_damage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, asked = countries(tmp_path / "c.mmdb"), Asked()
    raw = path.read_bytes()
    at = raw.index(b"registered_country")
    path.write_bytes(raw[: at - 1] + b"\x5d\xff" + raw[at + 1 :])  # a name longer than the file

    Places([path], asked.use)
    with caplog.at_level(logging.ERROR):
        places = [asked.of(FAR), asked.of("2001:db8:7::2")]

    assert places == [NOWHERE, NOWHERE]
    assert caplog.text.count("damaged") <= 1


def test_another_file_is_taken_up_and_a_broken_one_only_until_it_is_mended(tmp_path: Path) -> None:
    path, asked = tmp_path / "c.mmdb", Asked()
    places = Places([path], asked.use)
    seen = [asked.of(AWAY).country]

    for content in ("BR", "", "AR"):
        if content:
            countries(path, content)
        else:
            path.write_bytes(b"half a download")
        assert places.has_changed()
        places.refresh()
        assert not places.has_changed()
        seen.append(asked.of(AWAY).country)

    assert seen == ["", "BR", "", "AR"]


@pytest.mark.parametrize(
    ("built_unix", "level"), [(1_790_000_000, Level.OK), (1_600_000_000, Level.WARN), (0, Level.FAIL)]
)
def test_doctor_tells_a_sound_an_old_and_a_missing_file_apart(built_unix: int, level: Level, tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    if built_unix:
        write(path, {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}, built_unix=built_unix)

    [finding] = _places(Settings(places=PlacesSettings(files=[path])))

    assert finding.level is level
    assert str(path) in finding.text


# ---- signal and trigger ----


def place_of(client_ip: str) -> Place:
    """Many networks of one provider in each of two countries."""
    return GERMANY if client_ip.startswith("192.") else BRAZIL if client_ip.startswith("198.") else NOWHERE


def lived_in(logins: Logins, days: int, *, from_day: int = 0) -> Roaming:
    for hour in range(24 * days):
        roaming = logins.note("bob", f"192.0.{hour % 3}.7", MONDAY + from_day * DAY + hour * HOUR)
    return roaming


def signal_of(roaming: Roaming) -> SignalState:
    abroad = roaming.abroad
    return SignalState(
        networks=roaming.networks, usual_networks=roaming.usual, news=roaming.news, place=abroad.place,
        place_days=abroad.days, place_moves=abroad.moves, usual_places=abroad.usual,
    )  # fmt: skip


def test_a_login_from_a_country_never_seen_is_watched_and_its_country_named() -> None:
    logins = Logins()
    logins.ask(place_of)
    assert not list(alarms(signal_of(lived_in(logins, 12)), POLICY))

    roaming = logins.note("bob", AWAY, MONDAY + 12 * DAY)

    [alarm] = alarms(signal_of(roaming), POLICY)
    assert (alarm.rule, alarm.effect) == ("login_country", Effect.WATCH)
    assert alarm.reason == (
        "login from a country never seen for this credential: BR, AS64500 Example Telecom; on 12 days before from DE "
        "only, 92.9 % sure that this is not its habit"
    )
    assert alarm.evidence["usual"] == ["DE"]


def test_mail_from_home_is_not_watched_while_somebody_is_abroad_with_the_same_login() -> None:
    logins = Logins()
    logins.ask(place_of)
    lived_in(logins, 12)
    logins.note("bob", AWAY, MONDAY + 12 * DAY)

    at_home = logins.note("bob", HOME, MONDAY + 12 * DAY + 60)
    a_day_later = logins.note("bob", AWAY, MONDAY + 13 * DAY + HOUR)

    assert not at_home.abroad.place
    assert not a_day_later.abroad.place
    assert at_home.news == ("BR", "AS64500")


@pytest.mark.parametrize(("days", "is_watched"), [(7, False), (8, True)])
def test_a_country_is_news_only_to_who_knows_a_login_long_enough(days: int, *, is_watched: bool) -> None:
    logins = Logins()
    logins.ask(place_of)
    lived_in(logins, days)

    roaming = logins.note("bob", AWAY, MONDAY + days * DAY)

    assert bool(list(alarms(signal_of(roaming), POLICY))) == is_watched


def test_a_traveller_s_next_country_is_no_alarm() -> None:
    logins = Logins()
    travels = [Place(f"{chr(65 + number)}{chr(65 + number)}") for number in range(6)]
    logins.ask(lambda client_ip: travels[int(client_ip.split(".")[1])])

    fired = [
        list(alarms(signal_of(logins.note("bob", f"10.{day // 5}.0.1", MONDAY + day * DAY)), POLICY))
        for day in range(30)
    ]

    assert fired[10:] == [[]] * 20


def test_a_stop_for_spam_says_where_the_login_came_from() -> None:
    signal = SignalState(
        spam_count=8, seen=8, certainty=0.999, place=str(BRAZIL), place_days=12, usual_places=("DE",), networks=1
    )

    alarm = next(iter(alarms(signal, POLICY)))

    assert alarm.rule == "spam_rate"
    assert alarm.reason.endswith("; its login came from a country never seen for it: BR, AS64500 Example Telecom")
    assert alarm.evidence["place"] == "BR, AS64500 Example Telecom"


def test_many_new_networks_are_told_with_what_was_never_seen_before() -> None:
    logins = Logins()
    logins.ask(place_of)
    lived_in(logins, 10)
    for number in range(10):
        roaming = logins.note("bob", f"198.{number}.100.1", MONDAY + 10 * DAY + number)

    [alarm] = alarms(signal_of(roaming), POLICY)

    assert alarm.rule == "login_networks"
    assert "usually 0 a day; never seen for it before: BR, AS64500" in alarm.reason
    assert alarm.evidence["never_seen"] == ["BR", "AS64500"]


def test_countries_of_a_login_are_bounded_survive_a_restart_and_old_rows_are_read() -> None:
    before, after, place = Logins(), Logins(), Place("DE", 1)
    before.ask(lambda client_ip: Place(f"{client_ip[-2:]}".upper(), int(client_ip[3:-2])))
    lived = [
        before.note("bob", f"10.{number}{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}", MONDAY + number * HOUR)
        for number in range(200)
    ]
    rows = before.dirty()
    after.load(rows)
    for logins in (before, after):
        logins.ask(lambda client_ip: place)

    assert lived[-1].news
    assert len(rows[0][1]) < 64 * 2 * 40 + MOST * 40
    assert before.note("bob", HOME, MONDAY + 201 * HOUR) == after.note("bob", HOME, MONDAY + 201 * HOUR)
    old = b"\x94\x00\x00\xcb" + bytes(8) + b"\x81\xac192.0.2.0/24\x92\x00\x00"  # a row of before there were places
    assert after.load([("eve", old)]) == 0
    assert after.note("eve", HOME, 5 * DAY).networks == 0


# ---- a running relay ----


def test_a_running_relay_records_places_takes_up_a_new_file_and_says_why(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    path = tmp_path / "c.mmdb"
    write(path, {"127.0.0.0/8": {"country": {"iso_code": "DE"}, "asn": 64_501}})
    with Sink() as sink:
        site.write(sink.port, model="none", more=f'[places]\nfiles = ["{path}"]\n')
        site.add_account(Account("acme"), "srv1")
        with site.running(), smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
            smtp.login("srv1", "secret")
            smtp.sendmail("a@acme.example", ["x@sink.example"], "Subject: one\n\none\n")
            write(path, {"127.0.0.0/8": {"country": {"iso_code": "AT"}}})
            until(lambda: "AT" in _countries(smtp, site), 20)

    assert set(_recorded(site)) == {"DE", "AT"}


def _countries(smtp: smtplib.SMTP, site: Installation) -> list[str]:
    smtp.sendmail("a@acme.example", ["x@sink.example"], "Subject: two\n\ntwo\n")
    return _recorded(site)


def _recorded(site: Installation) -> list[str]:
    return [record.country for record in site.records(Reception)]
