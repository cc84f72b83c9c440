"""Real servers on loopback for tests, started from what the machine has."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 60) -> None:
    """Returns once somebody listens on the port of loopback."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"Nobody listens on port {port}.")


def postgresql_programs() -> Path | None:
    """The folder with initdb and pg_ctl; Debian keeps it off the PATH. None where not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = debian[-1] if debian else shutil.which("pg_ctl")
    return Path(found).parent if found else None


class Redis:
    """A Redis server on loopback that keeps what it is told in `place`, and can be restarted."""

    def __init__(self, place: Path, port: int, tls: tuple[Path, Path] | None) -> None:
        self.url = f"rediss://localhost:{port}/0" if tls else f"redis://127.0.0.1:{port}/0"
        plain = ["--port", str(port)]
        if tls:
            key, certificate = map(str, tls)
            plain = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
            plain += ["--tls-key-file", key, "--tls-cert-file", certificate]
            plain += ["--tls-ca-cert-file", certificate]
        self._command = [
            "redis-server", *plain, "--bind", "127.0.0.1", "--dir", str(place), "--save", "",
            "--appendonly", "yes",
        ]  # fmt: skip
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(self._port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis(place: Path, tls: tuple[Path, Path] | None = None) -> Iterator[Redis]:
    """A new, empty Redis server; `tls`: its key and certificate. Skips where it is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    place.mkdir(parents=True, exist_ok=True)
    server = Redis(place, free_port(), tls)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class PostgreSQL:
    """A PostgreSQL server on loopback; `url` names no database."""

    def __init__(self, programs: Path, place: Path) -> None:
        # The server refuses to run as root.
        root = os.geteuid() == 0
        user = "postgres" if root else pwd.getpwuid(os.geteuid()).pw_name
        if root:
            shutil.chown(place, user)
        self._prefix = ["runuser", "-u", user, "--"] if root else []
        self._place, self._programs, self._data = place, programs, str(place / "data")
        port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{port}"
        self._options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "tester", "--no-sync")

    def start(self) -> None:
        log = str(self._place / "log")
        self._run("pg_ctl", "-D", self._data, "-o", self._options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """As a crash does: nobody is told, nothing is finished."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, cwd=self._place, stdout=subprocess.DEVNULL)


@contextmanager
def postgresql_server(programs: Path) -> Iterator[PostgreSQL]:
    """A new, empty PostgreSQL server that can be stopped and started."""
    place = Path(tempfile.mkdtemp(prefix="postgresql-"))
    server = PostgreSQL(programs, place)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL server, without a database name."""
    with postgresql_server(programs) as server:
        yield server.url
