"""Lists and accounts of other providers, from CSV: what each column means, what is left out, and how it is told."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from relay.account import Account
from relay.cli import run
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import SuppressionRow
from relay.importing.cli import import_suppressions
from relay.importing.formats import NAMES
from relay.importing.reading import Fault, Skipped, Table, UnreadableFile, format_of, instant, suppressions
from tests.builders import Installation

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)

LISTS = {
    "sendgrid bounces": (
        'status,reason,email,created\n5.1.1,"550 5.1.1 no such user, sorry",Ann@D.example,1443651125\n'
        "4.2.2,mailbox full,bob@d.example,1443651125\n",
        {"ann@d.example": Reason.HARD_BOUNCE},
    ),
    "sendgrid spam reports": ("ip,email,created\n192.0.2.1,ann@d.example,1443651125\n", {"ann@d.example": "complaint"}),
    "sendgrid invalid": ("reason,email,created\nbad,ann@d.example,1443651125\n", {"ann@d.example": "hard_bounce"}),
    "sendgrid unsubscribes": ("email,created\nann@d.example,2026-01-02 03:04:05\n", {"ann@d.example": "unsubscribe"}),
    "mailgun bounces": (
        'address,code,error,created_at\nann@d.example,550,No such mailbox,"Fri, 21 Oct 2011 11:02:55 UTC"\n'
        "bob@d.example,421,later,2026-01-01T00:00:00Z\n",
        {"ann@d.example": "hard_bounce"},
    ),
    "mailgun unsubscribes": ("address,tags,created_at\nann@d.example,*,\n", {"ann@d.example": "unsubscribe"}),
    "mailgun complaints": ("address,count,created_at\nann@d.example,2,\n", {"ann@d.example": "complaint"}),
    "postmark": (
        "EmailAddress,SuppressionReason,Origin,CreatedAt\na@d.example,HardBounce,Recipient,2019-12-10T08:58:33-05:00\n"
        "b@d.example,SpamComplaint,Recipient,\nc@d.example,ManualSuppression,Customer,\n",
        {"a@d.example": "hard_bounce", "b@d.example": "complaint", "c@d.example": "unsubscribe"},
    ),
    "ses": (
        "EmailAddress,Reason,LastUpdateTime\na@d.example,BOUNCE,2026-01-01T00:00:00.123000+00:00\n"
        "b@d.example,COMPLAINT,1735689600\n",
        {"a@d.example": "hard_bounce", "b@d.example": "complaint"},
    ),
    "sparkpost": (
        "recipient,type,source,description,created,updated\na@d.example,transactional,Bounce Rule,550 no,2026-01-01,\n"
        "b@d.example,non_transactional,Spam Complaint,,,\nc@d.example,non_transactional,List Unsubscribe,,,\n",
        {"a@d.example": "hard_bounce", "b@d.example": "complaint", "c@d.example": "unsubscribe"},
    ),
    "mandrill": (
        "email,reason,detail,created_at,expires_at,last_event_at,expires_at,subaccount\n"
        'a@d.example,hard-bounce,"smtp;550 5.1.10 gone","2015-12-18 17:49:49.74724","2030-01-28 19:44:39",,,\n'
        "b@d.example,soft-bounce,,,,,,\nc@d.example,spam,,,,,,\nd@d.example,unsub,,,,,,\n"
        'e@d.example,hard-bounce,,"2015-12-18 17:49:49","2016-01-28 19:44:39",,"2016-01-28 19:44:39",\n',
        {"a@d.example": "hard_bounce", "c@d.example": "complaint", "d@d.example": "unsubscribe"},
    ),
    "mailchimp unsubscribed": (
        "Email Address,First Name,UNSUB_TIME,UNSUB_REASON\na@d.example,Ann,2026-01-01 10:00:00,\n",
        {"a@d.example": "unsubscribe"},
    ),
    "mailchimp cleaned": (
        "Email Address,CLEAN_TIME\na@d.example,2026-01-01 10:00:00\n",
        {"a@d.example": "hard_bounce"},
    ),
    "mailchannels": (
        "recipient,suppression_types,source,notes,created_at\na@d.example,transactional,hard_bounce,,\n"
        "b@d.example,non-transactional,spam_complaint,,\nc@d.example,transactional,api,by Joe,\n",
        {"a@d.example": "hard_bounce", "b@d.example": "complaint", "c@d.example": "by_hand"},
    ),
    "mailweir": (
        "account,address,reason,evidence,created_at,ends_at\n,a@d.example,trap,x,2026-01-01T00:00:00+00:00,\n",
        {"a@d.example": "trap"},
    ),
    "list": ("a@d.example\nb@d.example\n", {"a@d.example": "by_hand", "b@d.example": "by_hand"}),
    "list with semicolons": ("Email;Name\na@d.example;Ann\n", {"a@d.example": "by_hand"}),
}


def read(text: str, provider: str = "", usual: Reason | None = None) -> list[SuppressionRow | Fault | Skipped]:
    table = Table(io.StringIO(text))
    return list(suppressions(table, format_of(table, provider), usual, NOW))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_each_provider_is_known_by_its_columns(name: str) -> None:
    text, expected = LISTS[name]

    found = read(text)

    assert format_of(Table(io.StringIO(text))).name == name.split()[0]
    assert {row.address: row.reason for row in found if isinstance(row, SuppressionRow)} == expected
    assert not [row for row in found if isinstance(row, Fault)]


def test_every_provider_has_an_example_here() -> None:
    assert {name.split()[0] for name in LISTS} == {*NAMES, "list"}
    [offered] = [option.type for option in import_suppressions.params if option.name == "provider"]
    assert isinstance(offered, click.Choice)
    assert [*NAMES] == [*offered.choices]


def test_what_a_line_lacks_is_told_with_its_number_and_hinders_no_other() -> None:
    text = "EmailAddress,SuppressionReason,CreatedAt\nbroken,HardBounce,\n"
    text += "a@d.example,Sunspots,\nb@d.example,HardBounce,soon\n"

    found = read(text + "c@d.example,HardBounce,\nC@d.example,HardBounce,\n")

    assert [(one.line, one.what[:30]) for one in found if isinstance(one, Fault)] == [
        (2, "address 'broken': write it lik"),
        (3, "suppressionreason = 'Sunspots'"),
        (4, "'soon' is no instant; write it"),
    ]
    assert [row.address for row in found if isinstance(row, SuppressionRow)] == ["c@d.example"]
    assert [(one.line, one.why) for one in found if isinstance(one, Skipped)] == [
        (6, "c@d.example was in an earlier line")
    ]


def test_dates_and_evidence_come_along() -> None:
    (row, _soft) = read(LISTS["sendgrid bounces"][0])

    assert isinstance(row, SuppressionRow)
    assert row.created_at == datetime(2015, 9, 30, 22, 12, 5, tzinfo=UTC)
    assert row.evidence == "sendgrid: 5.1.1 550 5.1.1 no such user, sorry"


def test_a_reason_that_is_given_wins_over_the_usual_one_and_not_over_a_line_s() -> None:
    assert [row.reason for row in read("email,created\na@d.example,\n", usual=Reason.COMPLAINT)] == ["complaint"]  # type: ignore[union-attr]
    assert [row.reason for row in read(LISTS["ses"][0], usual=Reason.UNSUBSCRIBE)] == ["hard_bounce", "complaint"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "provider", "said"),
    [
        ("", "", "the file is empty"),
        ("name,colour\nx,y\n", "", "no list has these columns: name, colour"),
        ("email,created\na@d.example,\n", "postmark", "no list of postmark has these columns"),
    ],
)
def test_a_file_that_is_no_list_is_refused_as_a_whole(text: str, provider: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        read(text, provider)


@pytest.mark.parametrize("text", ["yesterday", "", "12:00", "9" * 40])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        instant(text)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation that does not run: commands work on its state."""
    installation = Installation(tmp_path)
    installation.write(1, model="none")
    installation.add_account(Account("acme"))
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    monkeypatch.chdir(tmp_path)
    return installation


def test_a_list_is_imported_and_taken_back(house: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.csv").write_text(LISTS["postmark"][0] + "broken,HardBounce,,\n")

    codes = [run(["import", "suppressions", "list.csv", "--account", "acme", *more]) for more in (["--dry-run"], [])]
    told = capsys.readouterr()
    assert run(["suppress", "ls", "--account", "acme", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    undo = told.out.partition("undo: mailweir ")[2].split()
    run(undo)
    assert run(["suppress", "ls", "--account", "acme"]) == 0

    assert codes == [1, 1]
    assert "would suppress 3 addresses of a postmark list" in told.out
    assert "suppressed 3 addresses of a postmark list" in told.out
    assert "line 5: address 'broken'" in told.err
    assert {row["address"]: row["reason"] for row in listed} == LISTS["postmark"][1]
    assert "nobody is suppressed" in capsys.readouterr().out


def test_json_names_each_line_that_was_left_out(house: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.csv").write_text("email,created\nbroken,\na@d.example,\n")

    assert run(["import", "suppressions", "list.csv", "--global", "--json"]) == 1

    done = json.loads(capsys.readouterr().out)
    assert (done["format"], done["added"], [one["line"] for one in done["faults"]]) == ("sendgrid", 1, [2])


WHM = (
    "Domain,IP,User Name,Email,Start date,Disk Partition,Quota,Disk Space Used,Package,Theme,Owner,Suspended\n"
    "a.example,192.0.2.1,anna,anna@a.example,13 May 22 16:03,home,unlimited,14M,gold,jupiter,root,0\n"
    "b.example,192.0.2.1,bert,*unknown*,13 May 22 16:03,home,500M,1M,gold,jupiter,north,1\n"
    "c_.example!,192.0.2.1,carl,carl@c.example,,,,,,,carl,0\n"
    "d.example,192.0.2.1,acme,x@d.example,,,,,,,root,0\n"
)


def test_whm_s_list_becomes_accounts_with_logins(house: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    Path("whm.csv").write_text(WHM)

    assert run(["import", "accounts", "whm.csv", "--dry-run"]) == 1
    dry = capsys.readouterr()
    assert run(["import", "accounts", "whm.csv", "--resellers", "--logins", "logins.csv"]) == 1
    told = capsys.readouterr()
    assert run(["account", "ls", "--json"]) == 0
    accounts = {one["name"]: one for one in json.loads(capsys.readouterr().out)}

    assert "would add 1 accounts, skipped 1" in dry.out
    assert "line 3: bert: there is no reseller 'north'; give --resellers" in dry.err
    assert "added 2 accounts, skipped 1" in told.out
    assert "line 4:" in told.err
    assert sorted(accounts) == ["acme", "anna", "bert"]
    assert (accounts["anna"]["domains"], accounts["anna"]["contact"]) == (["a.example"], "anna@a.example")
    assert (accounts["bert"]["reseller"], accounts["bert"]["is_suspended"]) == ("north", True)
    assert Path("logins.csv").stat().st_mode & 0o077 == 0
    assert [line.split(",")[:2] for line in Path("logins.csv").read_text().splitlines()[1:]] == [
        ["anna"] * 2,
        ["bert"] * 2,
    ]


def test_a_file_of_secrets_is_never_written_over(house: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    Path("logins.csv").write_text("mine")
    Path("list.csv").write_text("name\nzoe\n")

    assert run(["import", "accounts", "list.csv", "--logins", "logins.csv"]) == 1

    assert "logins.csv is there already" in capsys.readouterr().err
    assert Path("logins.csv").read_text() == "mine"


def test_sub_accounts_that_are_not_enabled_come_suspended(
    house: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("subs.csv").write_text("company_name,enabled,handle\nOne,true,one\nTwo,false,two\n")

    assert run(["import", "accounts", "subs.csv", "--shared-host"]) == 0
    capsys.readouterr()
    assert run(["account", "ls", "--json"]) == 0

    accounts = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert [(accounts[name]["is_suspended"], accounts[name]["shared_host"]) for name in ("one", "two")] == [
        (False, True),
        (True, True),
    ]
