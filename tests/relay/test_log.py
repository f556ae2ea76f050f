"""A line of the log is one line, whoever wrote the words in it."""

import logging

import pytest

from relay import log


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> "list[str]":
    """Logs a stranger's words, and an exception with them; gives the lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    words = "x\r\n2026-11-26T00:00:00.000 INFO relay mailweir.control: forged \x1b[2J\u202e"
    try:
        log.setup("relay")
        try:
            raise ValueError(words)
        except ValueError:
            logging.getLogger("mailweir.test").exception("login refused login=%s", words)
    finally:
        root.handlers[:], root.level = handlers, level
    return capsys.readouterr().err.splitlines()


def test_a_strangers_words_make_no_line_of_their_own(lines: list[str]) -> None:
    assert "\\r\\n2026-11-26T00:00:00.000 INFO relay mailweir.control: forged \\x1b[2J\\u202e" in lines[0]
    assert len([line for line in lines if not line.startswith("    ")]) == 1


def test_the_traceback_is_there_without_what_steers_a_terminal(lines: list[str]) -> None:
    assert any("raise ValueError" in line for line in lines)
    assert all(line.isprintable() for line in lines)
