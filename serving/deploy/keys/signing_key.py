"""Keys that sign, of the curve P-256, as PEM files without a password."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from regard.errors import InvalidInput
from regard.serving.deploy.keys.private_file import read_private, write_private


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh one."""
    return ec.generate_private_key(ec.SECP256R1())


def kept_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of a file; where there is none, a fresh one that the file then holds.

    Raises:
        InvalidInput: the file holds something else, or cannot be read or written.
    """
    pem = read_private(path)
    if pem is not None:
        return read_key(pem, str(path))
    key = new_key()
    write_private(path, pem_of(key))
    return key


def read_key(pem: bytes, where: str) -> ec.EllipticCurvePrivateKey:
    """The key of a PEM text.

    Raises:
        InvalidInput: it holds something else.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(
            f"{where} holds no key of an elliptic curve in PEM. Delete it, and the next start makes another."
        )
    return key


def pem_of(item: ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    """As PEM text."""
    if isinstance(item, x509.Certificate):
        return item.public_bytes(serialization.Encoding.PEM)
    return item.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
