"""A PostgreSQL of our own: in a temporary folder, on a Unix socket and a port of this machine, gone afterwards.

One rule: it runs as a user who is not root, because it refuses to be root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "unleash"


class NotInstalled(Exception):
    """What the peer needs is not on this machine; the text says how to get it."""


@contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """The port of a running server with one database, `unleash`, open to everyone on this machine."""
    programs = _programs()
    home = folder / "postgres"
    home.mkdir()
    account = _account()
    if account:
        shutil.chown(home, account)
        folder.chmod(0o755)
    run: list[str | Path] = ["runuser", "-u", account, "--"] if account else []
    _do([*run, programs / "initdb", "-D", home / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"])
    port = free_port()
    server = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
    control = [*run, programs / "pg_ctl", "-D", home / "data", "-w"]
    _do([*control, "-l", home / "log", "-o", server, "start"])
    try:
        _do([*run, programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "unleash"])
        yield port
    finally:
        _do([*control, "-m", "immediate", "stop"])


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _programs() -> Path:
    """Where Debian puts them, the newest version first; else wherever `initdb` is."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    if not found:
        raise NotInstalled("PostgreSQL is not installed: apt-get install --no-install-recommends postgresql")
    return Path(found).parent


def _account() -> str:
    """Who it runs as when we are root; "": as we are."""
    if os.getuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _do(command: list[str | Path]) -> None:
    done = subprocess.run([str(part) for part in command], cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
