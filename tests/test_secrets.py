"""After a run with marked keys, no mark is anywhere: logs, database, outputs, archives, console."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MARKS = {
    "MODELSCOPE_TOKEN": "ms-11111111-marked-modelscope-key",
    "HF_TOKEN": "hf_markedmarkedmarkedmarked",
    "OPENAI_API_KEY": "sk-marked-marked-marked-openai",
    "OTHER_API_KEY": "plain marked words, no shape",
    "LOGIN": "ann:marked-login-word",
    "METRICS_TOKEN": "marked-metrics-word",
}
PASSWORD = "marked-database-word"


class Telltale(http.server.BaseHTTPRequestHandler):
    """A server that answers every question with the key it was asked with."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Authorization", "")
        TOLD.append(key)
        body = json.dumps({"error": {"message": f"Incorrect API key provided: {key}", "code": 401}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Says nothing."""


TOLD: list[str] = []


@pytest.fixture
def telltale() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Telltale)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, and every file inside an archive."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as package:
                    for name in package.namelist():
                        yield f"{path}!{name}", package.read(name)


def run(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    variables = (
        os.environ | MARKS | {"LORA_DATA_DIR": str(place / "data"), "BODY_MODEL": "none"} | environment
    )
    command = [sys.executable, "-m", "lora_builder", *arguments]
    return subprocess.run(command, capture_output=True, cwd=ROOT, env=variables, timeout=300)


def test_no_key_is_left_anywhere_after_a_run(tmp_path: Path, telltale: str, portrait_png: bytes) -> None:
    """Not in logs, tables, captions, reports or ZIPs, though the server repeats the key in its errors."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ann.png").write_bytes(portrait_png)
    done = run(
        tmp_path, "run-all", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--verbose",
        BASE_URL=telltale, TAG_MODEL="some-model", RESOLUTION="512",
    )  # fmt: skip
    shown = run(tmp_path, "config", "--json", BASE_URL=telltale)
    outputs = done.stdout + done.stderr + shown.stdout + shown.stderr
    assert any(MARKS["MODELSCOPE_TOKEN"] in told for told in TOLD), "the key was never used"
    assert list((tmp_path / "data" / "logs").glob("*.jsonl"))
    found = [
        (where, name)
        for where, data in [("the console", outputs), *everything(tmp_path)]
        for name, mark in MARKS.items()
        if mark.encode() in data
    ]
    assert found == []


def test_a_databases_password_is_never_told(tmp_path: Path) -> None:
    """A server that is not there: the message and the log name it, without the password."""
    address = f"postgresql://ann:{PASSWORD}@127.0.0.1:1/lora?connect_timeout=1"
    done = run(
        tmp_path, "run-all", "--input", str(tmp_path), "--output", str(tmp_path / "o"), DATABASE_URL=address
    )
    shown = run(tmp_path, "config", DATABASE_URL=address)
    outputs = done.stdout + done.stderr + shown.stdout + shown.stderr
    assert done.returncode == 1 and b"***@127.0.0.1" in outputs
    assert PASSWORD.encode() not in outputs
    assert not [where for where, data in everything(tmp_path) if PASSWORD.encode() in data]


def test_a_traceback_of_ours_tells_no_key(tmp_path: Path) -> None:
    """A bug that happens to hold a key in its message prints it masked."""
    script = (
        "from lora_builder import logs; from lora_builder.settings import load; settings = load()\n"
        "logs.start(settings)\n"
        "raise RuntimeError('POST failed, Authorization: ' + settings.modelscope_token.get_secret_value())"
    )
    variables = os.environ | MARKS | {"LORA_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=variables
    )
    assert "RuntimeError: POST failed, Authorization: ***" in done.stderr
