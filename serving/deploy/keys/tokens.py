"""Tokens (JWT, RFC 7519) that say who calls and until when, signed by a key of the deployment (ES256)."""

import re
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from regard.errors import InvalidInput
from regard.serving.deploy.keys.envoy import AUDIENCE, ISSUER, token_filter
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.private_file import write_private
from regard.serving.deploy.keys.signing_key import kept_key

ALGORITHM = "ES256"
SUBJECT = r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}"
MAX_HOURS = 24 * 365


def keep_token_keys(folders: Folders) -> list[str]:
    """Make the key that signs tokens where it is missing, and Envoy's filter that trusts them.

    Returns what was made, a line each.

    Raises:
        InvalidInput: a file cannot be read or written.
    """
    public = _public(kept_key(folders.token_key))
    if write_private(folders.trusted_tokens, token_filter(public)):
        return [f"{folders.trusted_tokens}: the tokens that the gateway trusts"]
    return []


def token(folders: Folders, subject: str, hours: float) -> str:
    """A token for `subject` that ends after `hours`. "operator" as subject has the operator's rights.

    Raises:
        InvalidInput: the subject is no name, the hours are not between 0 and a year, or the key is
            missing.
    """
    if not re.fullmatch(SUBJECT, subject):
        raise InvalidInput(
            "a subject has 1 to 64 letters, digits and _ . @ -, and begins with a letter or digit, "
            f"got {subject!r}"
        )
    if not 0 < hours <= MAX_HOURS:
        raise InvalidInput(f"hours are above 0 and at most {MAX_HOURS}, got {hours}")
    if not folders.token_key.exists():
        raise InvalidInput(f"there is no {folders.token_key}. Make the keys first: run this without `token`.")
    key = kept_key(folders.token_key)
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + max(1, int(hours * 3600)),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public(key)["kid"]})


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The public half as a JWK."""
    public: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "alg": ALGORITHM, "use": "sig", "kid": public["x"][:16]}
