"""Encryption, for both protocols from the same files, read and checked by the same code."""

import ssl
from pathlib import Path
from typing import Any

from regard.errors import InvalidInput
from regard.serving.protocol.address import Address
from regard.serving.protocol.credentials import Credentials


def tls_context(address: Address, credentials: Credentials) -> ssl.SSLContext | None:
    """How to encrypt; None for an address that is not encrypted.

    Raises:
        InvalidInput: files for a plain address, or that cannot be read, are not PEM, or do not fit together.
    """
    given = credentials.ca or credentials.certificate
    if not address.encrypted:
        if given:
            raise InvalidInput(
                f"{given} is for an encrypted connection, and {address.url} is none; write "
                f"{address.protocol}s://{address.authority}{address.path}, or leave it out"
            )
        return None
    try:
        context = ssl.create_default_context(cafile=credentials.ca)
    except (OSError, ValueError) as error:
        raise _unusable(credentials.ca, "certificates of authorities", error) from None
    context.set_alpn_protocols(["http/1.1"])
    if credentials.certificate is not None:
        try:
            context.load_cert_chain(credentials.certificate, credentials.key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            files = " and ".join(
                str(file) for file in (credentials.certificate, credentials.key) if file is not None
            )
            raise _unusable(files, "a certificate and its private key", error) from None
    return context


def channel_credentials(address: Address, credentials: Credentials) -> Any | None:
    """The same for a gRPC channel; None for an address that is not encrypted. Raises the same."""
    if tls_context(address, credentials) is None:  # gRPC itself would report a bad file as a lost connection
        return None
    import grpc

    # SSL_CERT_FILE, or where OpenSSL looks; gRPC's own list where there is no such file
    trusted = credentials.ca or ssl.get_default_verify_paths().cafile
    return grpc.ssl_channel_credentials(
        root_certificates=_content(trusted),
        private_key=_content(credentials.key or credentials.certificate),
        certificate_chain=_content(credentials.certificate),
    )


def _content(file: str | Path | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


def _no_passphrase() -> str:
    raise InvalidInput("the private key is encrypted with a passphrase; give one that is not")


def _unusable(files: str | Path | None, content: str, error: Exception) -> InvalidInput:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return InvalidInput(
                f"{files}: the private key belongs to another certificate; give the one made with it"
            )
        return InvalidInput(f"{files} must hold {content} in PEM form ({error.reason or 'not PEM'})")
    return InvalidInput(f"cannot read {files}: {getattr(error, 'strerror', None) or error}")
