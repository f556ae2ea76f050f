"""60 varied real messages that the front door accepted: every signature on them holds, by two other implementations.

bench/signatures.py does the same with a thousand.
"""

from pathlib import Path

import pytest

from tests.interop.corpus import real_mail
from tests.interop.signatures import EXPECTED, Signed, by_dkimpy, by_opendkim, opendkim, through_the_relay


@pytest.fixture(scope="module")
def signed(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    found = through_the_relay(real_mail(corpora, 60), tmp_path_factory.mktemp("relay"))
    assert len(found.contents) > 50
    return found


def test_dkimpy_finds_every_signature_good(signed: Signed) -> None:
    assert [EXPECTED] * len(signed.contents) == [by_dkimpy(content, signed.keys) for content in signed.contents]


def test_opendkim_finds_every_signature_good_and_an_altered_message_bad(signed: Signed, tmp_path: Path) -> None:
    program = opendkim()
    if not program:
        pytest.skip("no opendkim; install Debian's package opendkim, or set MAILWEIR_OPENDKIM to its path")
    altered = signed.contents[0].replace(b"\r\n\r\n", b"\r\n\r\nBuy now\r\n", 1)

    *found, bad = by_opendkim(program, [*signed.contents, altered], signed.keys, tmp_path / "opendkim")

    assert [EXPECTED] * len(signed.contents) == found
    assert bad == []
