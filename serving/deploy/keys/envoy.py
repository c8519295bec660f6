"""What the gateway trusts, as two filters of Envoy that docker/gateway/envoy.yaml finds by their names in
files: changed files are taken up without a restart.
"""

import json
from collections.abc import Mapping
from typing import Any

ISSUER = "regard"
AUDIENCE = "regard"
CLIENT_HEADER = "x-regard-client"  # who was named by a key
SUBJECT_HEADER = "x-regard-subject"  # who was named by a token
CLOCK_SKEW = 5  # seconds that a token is taken after its time


def api_key_filter(clients: Mapping[str, str]) -> bytes:
    """Puts the client's name into its header for a known key; other requests pass as they came.

    Args:
        clients: the key of each client.
    """
    matching = {
        "matcher_tree": {
            "input": _typed("key", "type.matcher.v3.HttpRequestHeaderMatchInput", header_name="x-api-key"),
            "exact_match_map": {"map": {key: {"action": _naming(client)} for client, key in clients.items()}},
        }
    }
    return _file(
        _typed(
            "api_keys",
            "extensions.common.matching.v3.ExtensionWithMatcher",
            extension_config=_typed("composite", "extensions.filters.http.composite.v3.Composite"),
            xds_matcher=matching,
        )
    )


def token_filter(public: Mapping[str, str]) -> bytes:
    """Refuses with 401 who was not named by a key and has no valid token; puts the token's subject into its
    header.

    Args:
        public: the key that tokens are proven by, as a JWK.
    """
    trusted = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW,
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "claim_to_headers": [{"header_name": SUBJECT_HEADER, "claim_name": "sub"}],
        "local_jwks": {"inline_string": json.dumps({"keys": [public]})},
    }
    named = [{"name": CLIENT_HEADER, "present_match": True}]
    return _file(
        _typed(
            "tokens",
            "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            providers={"regard": trusted},
            rules=[
                {"match": {"prefix": "/", "headers": named}},
                {"match": {"prefix": "/"}, "requires": {"provider_name": "regard"}},
            ],
        )
    )


def _naming(client: str) -> dict[str, Any]:
    setting = {"append": {"header": {"key": CLIENT_HEADER, "value": client}}}
    filters = "extensions.filters.http"
    return _typed(
        client,
        f"{filters}.composite.v3.ExecuteFilterAction",
        typed_config=_typed(
            "naming",
            f"{filters}.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": [setting]},
        ),
    )


def _typed(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.{kind}", **fields}}


def _file(extension: Mapping[str, Any]) -> bytes:
    """As the answer of Envoy's extension discovery."""
    kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
    return json.dumps({"resources": [{"@type": kind, **extension}]}, indent=1).encode()
