"""Real servers on loopback for tests, started from what the machine has."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgresql_programs() -> Path | None:
    """The folder with initdb and pg_ctl; Debian keeps it off the PATH. None where not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = debian[-1] if debian else shutil.which("pg_ctl")
    return Path(found).parent if found else None


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL server, without a database name."""
    place = Path(tempfile.mkdtemp(prefix="postgresql-"))
    # The server refuses to run as root.
    root = os.geteuid() == 0
    user = "postgres" if root else pwd.getpwuid(os.geteuid()).pw_name
    if root:
        shutil.chown(place, user)

    def run(*command: str) -> None:
        prefix = ["runuser", "-u", user, "--"] if root else []
        subprocess.run([*prefix, *command], check=True, cwd=place, stdout=subprocess.DEVNULL)

    port, data = free_port(), str(place / "data")
    run(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "tester", "--no-sync")
    options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = str(programs / "pg_ctl")
    run(control, "-D", data, "-o", options, "-l", str(place / "log"), "-w", "start")
    try:
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        run(control, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)
