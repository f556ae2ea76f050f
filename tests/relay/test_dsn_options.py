"""DSN parameters: what is accepted may be said to the next hop as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dsn_options import decode_xtext, mail_options, notify_of, option, rcpt_options
from relay.reply import PermanentError

_text = st.one_of(st.text(), st.text("SUCEFAILRDYNV,;+=0AD \r\n\0rfc822xé@.", max_size=40))
_named = {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;ann+2Bx@d.example"}


@given(ret=_text, envid=_text, notify=_text, orcpt=_text)
def test_whatever_is_accepted_is_safe_to_say_and_is_read_back(ret: str, envid: str, notify: str, orcpt: str) -> None:
    for accept, name, value in (
        (mail_options, "RET", ret),
        (mail_options, "ENVID", envid),
        (rcpt_options, "NOTIFY", notify),
        (rcpt_options, "ORCPT", orcpt),
    ):
        try:
            said = accept({name: value})
        except PermanentError:
            continue
        assert said.isascii()
        assert said.isprintable()
        assert " " not in said
        assert option(said, name).upper() in (value.upper(), ",".join(dict.fromkeys(value.upper().split(","))))
        assert accept({name: option(said, name)}) == said


@given(st.text(st.characters(max_codepoint=255), min_size=1, max_size=30))
def test_xtext_comes_back_as_it_was(text: str) -> None:
    encoded = "".join(sign if sign.isascii() and sign.isalnum() else f"+{ord(sign):02X}" for sign in text)

    assert decode_xtext(option(mail_options({"ENVID": encoded}), "ENVID")) == text


def test_each_parameter_keeps_its_value() -> None:
    assert mail_options({"RET": "hdrs", "ENVID": "QQ314159", "SIZE": "7"}) == "RET=HDRS ENVID=QQ314159"
    assert rcpt_options(_named) == "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann+2Bx@d.example"
    assert notify_of(rcpt_options(_named)) == {"SUCCESS", "FAILURE"}
    assert notify_of("ORCPT=rfc822;NOTIFY") is None
    assert option("RET=FULL", "ENVID") == ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"NOTIFY": "NEVER,SUCCESS"},
        {"NOTIFY": ""},
        {"NOTIFY": "SUCCESS,"},
        {"ORCPT": "ann@d.example"},
        {"ORCPT": "rfc822;a b"},
        {"ORCPT": "rfc822;a\r\nDATA"},
        {"ORCPT": "rfc822;+2b"},
        {"ORCPT": "rfc822;" + "a" * 500},
        {"ORCPT": "rfc822;ann@d.example\n"},
    ],
)
def test_a_broken_parameter_of_rcpt_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(PermanentError):
        rcpt_options(parameters)


@pytest.mark.parametrize("parameters", [{"RET": ""}, {"RET": "BODY"}, {"ENVID": ""}, {"ENVID": "a" * 101}])
def test_a_broken_parameter_of_mail_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(PermanentError):
        mail_options(parameters)
