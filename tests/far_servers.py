"""Dask clusters and S3 servers for tests: real processes on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lora_builder import places
from tests.servers import free_port, wait_for

ROOT = Path(__file__).resolve().parents[1]


QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
"""What docs/cluster.md and compose.yaml set: Dask looks at itself less often, and at its stacks never."""


class DaskCluster:
    """A Dask scheduler and its workers, each a process of its own on loopback.

    `environment` is what the workers see beyond this process's own.
    """

    def __init__(self, place: Path, workers: int = 2, environment: dict[str, str] | None = None) -> None:
        self.place = place
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._environment = os.environ | QUIET | {"PYTHONPATH": str(ROOT)} | (environment or {})
        self._count = workers
        self.start()

    def start(self) -> None:
        """The scheduler, always at the same address, and its workers."""
        self.scheduler = self._start("dask_scheduler", "--port", str(self.port))
        wait_for(self.port)
        self.workers = [self.worker() for _ in range(self._count)]

    def worker(self) -> subprocess.Popen[bytes]:
        """One more worker of one thread, which nobody restarts."""
        more = (
            "--nthreads",
            "1",
            "--no-nanny",
            "--local-directory",
            str(self.place),
            "--death-timeout",
            "60",
            "--memory-limit",
            "0",
        )
        return self._start("dask_worker", self.address, *more)

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
        with (self.place / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--no-dashboard"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def close(self) -> None:
        """Ends them all, at once."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fresh_connection() -> None:
    """Stores' libraries keep a connection; the next use makes another."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    places._system.cache_clear()


class S3Server:
    """An S3 server in a process of its own on loopback, with one bucket; it forgets when it ends."""

    BUCKET = "photos"

    def __init__(self, place: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "marked-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with (place / "s3.log").open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(port)

    def make_bucket(self) -> str:
        """The address of the new bucket; the environment must be in force."""
        import fsspec

        fsspec.filesystem("s3", use_listings_cache=False).mkdir(self.BUCKET)
        return f"s3://{self.BUCKET}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> S3Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
