"""A PostgreSQL of our own: in a folder of its own under /tmp, on a port of this machine, gone afterwards.

One rule: it runs as a user who is not root, because it refuses to be root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

OWNER = "cutover"
MISSING = (
    "NO POSTGRESQL HERE, the tables are tested on SQLite alone: apt-get install --no-install-recommends postgresql"
)


def programs() -> Path | None:
    """The folder of `initdb`, Debian's newest version first; None: it is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(found).parent if found else None


INSTALLED = programs() is not None


class PostgresProcess:
    """One server. `start()`, then as many databases as are asked for; `stop()` ends it without ceremony."""

    def __init__(self) -> None:
        found = programs()
        if found is None:
            raise FileNotFoundError(MISSING)
        self._programs = found
        self._home = Path(tempfile.mkdtemp(prefix="cutover-postgres-"))
        self._as = self._not_root()
        self._numbers = count()
        self.port = free_port()

    def start(self) -> None:
        """Return when it answers."""
        initdb = ("-D", str(self._home / "data"), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run("initdb", *initdb)
        options = f"-p {self.port} -k {self._home} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-D", str(self._home / "data"), "-w", "-l", str(self._home / "log"), "-o", options, "start")

    @property
    def url(self) -> str:
        """Of the database that every server has."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/postgres"

    def schema(self) -> str:
        """The URL of a new, empty schema: as good as a database of one's own, and made in no time."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        return f"{self.url}?options=-csearch_path%3D{name}"

    def stop(self) -> None:
        """Nothing of it is left."""
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def _not_root(self) -> Sequence[str]:
        """What goes before a command so that it runs as somebody else; nothing when we are nobody special."""
        if os.getuid() != 0:
            return ()
        account = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
        shutil.chown(self._home, account)
        return ("runuser", "-u", account, "--")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._programs / program), *arguments]
        said = self._home / "said"
        with said.open("ab") as output:  # a pipe would be held open by the server
            done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {said.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
