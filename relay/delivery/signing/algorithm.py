"""What DKIM keys sign with. By itself, so that the command line can name it without loading cryptography."""

from enum import StrEnum


class Algorithm(StrEnum):
    """Every receiver checks RSA; Ed25519 only some do, so it stands beside RSA, not alone."""

    RSA = "rsa-2048"
    ED25519 = "ed25519"
