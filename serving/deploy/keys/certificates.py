"""A CA of the deployment's own, and the gateway's certificate by it, renewed before it ends."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from regard.errors import InvalidInput
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.private_file import read_private, write_private
from regard.serving.deploy.keys.signing_key import kept_key, new_key, pem_of, read_key

NAMES = ("localhost", "gateway", "127.0.0.1", "::1")
CA_DAYS = 3650
SERVER_DAYS = 397  # longer ones are refused by browsers
RENEW_DAYS = 30
EARLIER = timedelta(hours=1)  # valid since: clocks differ


def keep_certificates(folders: Folders, hosts: Sequence[str] = ()) -> list[str]:
    """Make the CA and the gateway's certificate where one is missing, does not fit the other, lacks a name
    or has under 30 days left. hosts: names and addresses of the gateway besides its own.

    Returns what was made, a line each.

    Raises:
        InvalidInput: a file cannot be read or written; a host is no name.
    """
    made = []
    key = kept_key(folders.ca_key)
    authority = _certificate(read_private(folders.ca))
    if authority is None or authority.public_key() != key.public_key() or _days_left(authority) < SERVER_DAYS:
        authority = _authority(key)
        made.append(f"{folders.ca}: a new CA, for {CA_DAYS} days; give it to the clients again")
    write_private(folders.ca, pem_of(authority))
    write_private(folders.client_ca, pem_of(authority))

    names = [_name(each) for each in dict.fromkeys((*NAMES, *hosts))]
    present = _certificate(read_private(folders.server_certificate))
    why = _why_new(present, authority, _public_key(folders.server_key), names)
    if why:
        server = new_key()
        write_private(folders.server_key, pem_of(server))
        write_private(folders.server_certificate, pem_of(_server(server, key, authority, names)))
        made.append(f"{folders.server_certificate}: a new certificate for {SERVER_DAYS} days, {why}")
    return made


def _why_new(
    present: x509.Certificate | None,
    authority: x509.Certificate,
    key: ec.EllipticCurvePublicKey | None,
    names: list[x509.GeneralName],
) -> str:
    """Why the gateway needs another certificate; "" where it does not."""
    if present is None or key is None:
        return "there was none"
    try:
        present.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return "the old one is by another CA"
    if key != present.public_key():
        return "the old one's key is gone"
    if list(present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) != names:
        return f"for {', '.join(str(each.value) for each in names)}"
    if _days_left(present) < RENEW_DAYS:
        return f"the old one had under {RENEW_DAYS} days left"
    return ""


def _public_key(file: Path) -> ec.EllipticCurvePublicKey | None:
    pem = read_private(file)
    try:
        return None if pem is None else read_key(pem, str(file)).public_key()
    except InvalidInput:
        return None  # damaged: made anew


def _certificate(pem: bytes | None) -> x509.Certificate | None:
    if pem is None:
        return None
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None  # damaged: made anew


def _days_left(certificate: x509.Certificate) -> float:
    return (certificate.not_valid_after_utc - datetime.now(timezone.utc)) / timedelta(days=1)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        if not host or any(character.isspace() or character in "/:@," for character in host):
            raise ValueError
        return x509.DNSName(host)
    except ValueError:
        raise InvalidInput(
            f"a host is a name or an address, such as vision.example.com or 192.0.2.7, got {host!r}"
        ) from None


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "regard deployment CA")])
    return (
        _builder(key.public_key(), name, name, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)  # Python 3.13 asks for it
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "regard gateway")])
    return (
        _builder(key.public_key(), subject, authority.subject, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
