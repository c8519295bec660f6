"""Where the keys lie: four folders, in the stack four volumes, since who mounts one reads all of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """private: the keys that sign; nobody else mounts it. gateway: Envoy's. client: what callers need.
    grafana: its password alone, since a page for people is no place for the operator's key.
    """

    private: Path = Path("/keys")
    gateway: Path = Path("/gateway-keys")
    client: Path = Path("/client-keys")
    grafana: Path = Path("/grafana-keys")

    @property
    def ca_key(self) -> Path:
        return self.private / "ca.key"

    @property
    def ca(self) -> Path:
        return self.private / "ca.pem"

    @property
    def token_key(self) -> Path:
        return self.private / "token.key"

    @property
    def server_key(self) -> Path:
        return self.gateway / "server.key"

    @property
    def server_certificate(self) -> Path:
        return self.gateway / "server.pem"

    @property
    def api_keys(self) -> Path:
        return self.gateway / "api_keys.json"

    @property
    def trusted_tokens(self) -> Path:
        return self.gateway / "tokens.json"

    @property
    def client_ca(self) -> Path:
        return self.client / "ca.pem"

    @property
    def client_key(self) -> Path:
        return self.client / "api_key"

    @property
    def operator_key(self) -> Path:
        return self.client / "operator_key"

    @property
    def client_grafana_password(self) -> Path:
        return self.client / "grafana_password"

    @property
    def grafana_password(self) -> Path:
        return self.grafana / "grafana_password"
