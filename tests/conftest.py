"""What all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real mail, bounces and reports; skips where it is absent."""
    folder = Path(os.environ.get("MAILWEIR_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not (folder / "README.md").exists():
        pytest.skip(f"no corpora at {folder}; set MAILWEIR_CORPORA")
    return folder
