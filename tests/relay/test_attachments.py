"""Attachments: size, digest and the listing of an archive, from its first and last bytes alone."""

import base64
import gzip
import io
import random
import tracemalloc
import zipfile

import pytest

from relay.content.attachments import Attachment, attachment
from relay.content.message import read


def packed(*names: str, size: int = 100, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(name, b"x" * size)
    return buffer.getvalue()


def described(data: bytes) -> Attachment:
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return attachment("a.zip", "application/zip", encoded, 0, len(encoded), is_base64=True)


def test_an_archive_tells_what_it_holds() -> None:
    found = described(packed("invoice.pdf", "setup.exe"))

    assert found.members == ("invoice.pdf", "setup.exe")
    assert not found.is_locked


def test_a_large_archive_is_listed_by_the_directory_at_its_end() -> None:
    found = described(packed("first.bin", "last.scr", size=3_000_000))

    assert found.members == ("first.bin", "last.scr")


def test_a_bomb_is_listed_and_not_unpacked() -> None:
    data = packed("zeros.bin", size=200_000_000, method=zipfile.ZIP_DEFLATED)
    tracemalloc.start()

    found = described(data)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.members == ("zeros.bin",)
    assert most < 5_000_000  # of 200 MB


def test_a_cut_archive_is_listed_by_its_local_headers() -> None:
    assert described(packed("a.js", "b.txt")[:250]).members == ("a.js", "b.txt")


def test_a_locked_archive_is_called_so() -> None:
    data = bytearray(packed("secret.doc"))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1

    assert described(bytes(data)).is_locked


def test_gzip_names_its_file() -> None:
    buffer = io.BytesIO()
    with gzip.GzipFile("report.xml", "wb", fileobj=buffer) as file:
        file.write(b"<feedback/>")

    assert described(buffer.getvalue()).members == ("report.xml",)


def test_the_same_file_has_the_same_digest_and_another_has_not() -> None:
    one, same, other = described(b"%PDF a"), described(b"%PDF a"), described(b"%PDF b")

    assert one.digest == same.digest != other.digest


def test_a_part_without_content_has_no_digest() -> None:
    content = b"Content-Type: application/pdf\r\n\r\n"

    [found] = read(content).attachments

    assert (found.digest, found.size_bytes, found.members) == ("", 0, ())


@pytest.mark.parametrize("seed", range(200))
def test_no_bytes_make_it_fail(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(packed("a.exe", "b/c.txt"))
    for _ in range(rng.randrange(1, 30)):
        data[rng.randrange(len(data))] = rng.randrange(256)

    assert len(described(bytes(data)).members) <= 100
