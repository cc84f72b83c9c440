"""A process that speaks what the push uses of the Hub's HTTP protocol, on loopback.

    python -m tests.export.hub_server FOLDER

Prints its port. FOLDER/state.json is what it knows at the start and after each change; FOLDER/fault.json,
where it is there, says what goes wrong: {"at": "commit", "status": 409, "times": 1}, or "status": 0
for a cut line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_marked_secret"
STATE: dict[str, Any] = {"repos": {}, "objects": {}, "puts": 0, "commits": []}
LOCK = threading.Lock()


class Hub(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, format: str, *args: object) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(format % args + "\n")

    def do_GET(self) -> None:
        if match := re.fullmatch(r"/api/datasets/([\w.-]+/[\w.-]+)(/tree/main.*)?(\?.*)?", self.path):
            repo = STATE["repos"].get(match[1])
            if self._stopped("look"):
                return
            if repo is None:
                self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            elif match[2]:
                files = [{"type": "file", "path": p, "size": 1, "oid": "0"} for p in repo["files"]]
                self._answer(200, files)
            else:
                siblings = [{"rfilename": p} for p in repo["files"]]
                self._answer(
                    200,
                    {"id": match[1], "private": repo["private"], "sha": "0" * 40, "siblings": siblings,
                     "tags": [], "downloads": 0, "likes": 0},
                )  # fmt: skip
        else:
            self._answer(404, {"error": self.path})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            self._create(json.loads(data))
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            if not self._stopped("preupload"):
                files = [
                    {"path": f["path"], "shouldIgnore": False,
                     "uploadMode": "lfs" if f["path"].endswith((".png", ".jpg")) else "regular"}
                    for f in json.loads(data)["files"]
                ]  # fmt: skip
                self._answer(200, {"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            if not self._stopped("batch"):
                self._batch(json.loads(data))
        elif match := re.fullmatch(r"/api/datasets/([\w.-]+/[\w.-]+)/commit/main.*", self.path):
            if not self._stopped("commit"):
                self._commit(match[1], data)
        else:
            self._answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._stopped("upload", authorised=False):
            return
        oid = self.path.rsplit("/", 1)[1]
        assert hashlib.sha256(data).hexdigest() == oid
        with LOCK:
            STATE["objects"][oid] = len(data)
            STATE["puts"] += 1
            self._save()
        self._answer(200, {})

    def _create(self, wanted: dict[str, Any]) -> None:
        if self._stopped("create"):
            return
        name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        with LOCK:
            STATE["repos"][name] = {"private": private, "files": {}}
            self._save()
        self._answer(200, {"url": f"http://127.0.0.1:{self.server.server_port}/datasets/{name}"})

    def _batch(self, wanted: dict[str, Any]) -> None:
        host = f"http://127.0.0.1:{self.server.server_port}"
        objects = []
        for item in wanted["objects"]:
            known = item["oid"] in STATE["objects"]
            actions = {} if known else {"actions": {"upload": {"href": f"{host}/upload/{item['oid']}"}}}
            objects.append({"oid": item["oid"], "size": item["size"], **actions})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, data: bytes) -> None:
        with LOCK:
            repo = STATE["repos"][name]
            for line in data.decode().splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "header":
                    STATE["commits"].append(value["summary"])
                elif entry["key"] == "file":
                    repo["files"][value["path"]] = base64.b64decode(value["content"]).decode()
                elif entry["key"] == "lfsFile":
                    assert value["oid"] in STATE["objects"], "committed before it arrived"
                    repo["files"][value["path"]] = value["oid"]
                elif entry["key"] == "deletedFile":
                    del repo["files"][value["path"]]
            self._save()
        host = f"http://127.0.0.1:{self.server.server_port}"
        self._answer(200, {"commitUrl": f"{host}/datasets/{name}/commit/abc", "commitOid": "abc" * 13 + "a"})

    def _stopped(self, where: str, authorised: bool = True) -> bool:
        """Whether the request was refused: no token, or the fault of the day."""
        if authorised and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid credentials"}, {"X-Error-Message": "Invalid credentials"})
            return True
        if not authorised:
            assert "Authorization" not in self.headers, "the token went to the storage"
        path = self.folder / "fault.json"
        if not path.exists():
            return False
        fault = json.loads(path.read_text())
        if fault["at"] != where or fault.get("after", 0) > STATE["puts"]:
            return False
        if fault["status"] == 0:
            self.close_connection = True
            self.connection.close()
        else:
            text = f"<b>refused</b> {TOKEN}"
            self._answer(fault["status"], {"error": text}, {"X-Error-Message": text})
        return True

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _save(self) -> None:
        fresh = self.folder / "state.new"
        fresh.write_text(json.dumps(STATE))
        fresh.replace(self.folder / "state.json")


if __name__ == "__main__":
    Hub.folder = Path(sys.argv[1])
    if (Hub.folder / "state.json").exists():
        STATE |= json.loads((Hub.folder / "state.json").read_text())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()
