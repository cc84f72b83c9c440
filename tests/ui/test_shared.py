"""Two strangers on one app: neither can have anything of the other's, however they ask."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.ui.accounts import LOGINS_A_MINUTE
from lora_builder.ui.door import COOKIE
from lora_builder.ui.fence import Owners
from tests.servers import free_port
from tests.ui.conftest import running_app

REQUESTS = 500


class Stranger:
    """A visitor without a browser: a cookie, a session, an uploaded photo with a mark in it."""

    def __init__(self, address: str, mark: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=30)
        self.mark = mark.encode()
        self.page = self.http.get("/")
        self.token = self.http.cookies[COOKIE]
        self.session = f"session{mark}"
        buffer = io.BytesIO()
        Image.effect_noise((200, 200), 50).convert("RGB").save(buffer, "JPEG", comment=self.mark)
        self.photo = buffer.getvalue()
        answer = self.upload(f"{mark}.jpg", self.photo)
        assert answer.status_code == 200, answer.text
        self.path = answer.json()[0]
        self.join(None)

    def upload(self, name: str, data: bytes) -> httpx.Response:
        return self.http.post("/gradio_api/upload", files={"files": (name, data, "image/jpeg")})

    def join(self, data: object, session: str = "", fn_index: int = 0) -> httpx.Response:
        body = {"data": [data], "fn_index": fn_index, "session_hash": session or self.session}
        return self.http.post("/gradio_api/queue/join", json=body)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "data"


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    """The real app, with limits as on a server."""
    with running_app(data, free_port(), VISITOR_UPLOAD_MB="20", METRICS_TOKEN="let-me-look") as url:
        yield url


@pytest.fixture(scope="module")
def strangers(address: str) -> tuple[Stranger, Stranger]:
    return Stranger(address, "AnnAnnAnn"), Stranger(address, "BeaBeaBea")


def attempts(mine: Stranger, theirs: Stranger, data: Path, choose: random.Random) -> httpx.Response:
    """One of the ways in which somebody tries to get at what is another's."""
    digest = hashlib.sha256(theirs.photo).hexdigest()
    file = choose.choice(
        (
            theirs.path, theirs.path.replace("/", "%2F"), f"{theirs.path}/", f"//{theirs.path}",
            str(Path(theirs.path).parent / "." / Path(theirs.path).name), f"{mine.path}/../../{digest}/x.jpg",
            f"{Path(mine.path).parent}/../{Path(theirs.path).parent.name}/{Path(theirs.path).name}",
            str(data / "lora.db"), str(data / "lora.db-wal"), str(data / ".login-key"), str(data / "logs"),
            f"{data}/uploads/../lora.db", "/etc/passwd", "../../etc/passwd", "file:///etc/passwd",
            f"http://127.0.0.1:{mine.http.base_url.port}/healthz", "http://169.254.169.254/latest/meta-data",
        )
    )  # fmt: skip
    meta = {"path": theirs.path, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.jpg"}
    name = choose.choice(("thumb", "preview", "crop"))
    event = {"session_hash": theirs.session, "fn_index": 0, "event_id": "x"}
    call = {"session_hash": theirs.session, "component_id": choose.randrange(40), "fn_name": "ls"}
    named = choose.choice(([meta], meta, theirs.path, [theirs.path]))
    ways = (
        lambda: mine.http.get(f"/gradio_api/file={file}"),
        lambda: mine.http.get(f"/gradio_api/file={file}", headers={"Range": "bytes=0-"}),
        lambda: mine.http.head(f"/gradio_api/file={file}"),
        lambda: mine.http.get(f"/gradio_api/file/{file.lstrip('/')}"),
        lambda: mine.http.get(f"/gradio_api/proxy=http://127.0.0.1/{digest}"),
        lambda: mine.http.get(f"/ldb/picture/{name}/{digest}/{choose.randbytes(16).hex()}"),
        lambda: mine.join(named, fn_index=choose.randrange(12)),
        lambda: mine.join("x", session=theirs.session, fn_index=choose.randrange(12)),
        lambda: mine.http.get("/gradio_api/queue/data", params={"session_hash": theirs.session}),
        lambda: mine.http.get(f"/gradio_api/heartbeat/{theirs.session}"),
        lambda: mine.http.post("/gradio_api/cancel", json=event),
        lambda: mine.http.post("/gradio_api/reset", json=event),
        lambda: mine.http.post("/gradio_api/component_server", json=call | {"data": [theirs.path]}),
        lambda: mine.http.get(choose.choice(("/monitoring", "/monitoring/summary", "/gradio_api/vibe-code"))),
        lambda: mine.http.get(choose.choice(("/metrics", "/log", "/log?format=json"))),
    )  # fmt: skip
    return choose.choice(ways)()


def test_two_visitors_and_five_hundred_tries_each(strangers: tuple[Stranger, Stranger], data: Path) -> None:
    """Files by path, by guess, by range; sessions, events, handlers; the database: 0 leaks."""
    choose, leaks, allowed = random.Random(5), [], 0
    for mine, theirs in (strangers, strangers[::-1]):
        for _ in range(REQUESTS):
            answer = attempts(mine, theirs, data, choose)
            allowed += answer.status_code < 400
            secret = (theirs.mark, theirs.token.encode(), b"root:", b"SQLite format")
            if answer.status_code < 400 or any(word in answer.content for word in secret):
                leaks.append(f"{answer.request.method} {answer.request.url} -> {answer.status_code}")
    assert leaks == []
    assert allowed == 0


def theirs_made(data: Path, owner: str, mark: str) -> str:
    """The id of a project of somebody's, with the mark in all that a page could show of it."""
    from lora_builder.caption.records import StoredTemplate
    from lora_builder.records import Edits, Override, Photo, Source

    with Store(f"sqlite:///{data / 'lora.db'}") as store:
        folder = data / "projects" / mark
        (folder / "input").mkdir(parents=True)
        (folder / "train_package.zip").write_bytes(mark.encode())
        project = store.project(folder, mark, folder / "input", owner)
        photo = Photo(Source(f"{mark}.jpg", folder / "input" / f"{mark}.jpg"), "f" * 64, 9)
        store.save_photos(project.id, [photo], [])
        store.set_override(project.id, photo.sha256, Override(keep=True, caption=mark))
        store.captions.set_by_user(project.id, {photo.sha256: mark})
        store.finishing.save_recipe(mark, Edits(mirror=True), owner)
        store.templates.save(StoredTemplate(mark, {}, owner))
    return project.id


def rows_with(data: Path, project: str) -> str:
    """All rows of the database that name a project, as text."""
    import sqlite3

    found = []
    with sqlite3.connect(data / "lora.db") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in sorted(tables):
            rows = [row for row in connection.execute(f"SELECT * FROM {table}") if project in row]
            found.append((table, sorted(map(repr, rows))))
    return repr(found)


def answers(stranger: Stranger, fn_index: int, inputs: list[object], event: object) -> str:
    """What a handler of the page answers, to the end of its stream."""
    session = f"{stranger.session}{fn_index}{len(str(event))}"
    body = {"data": inputs, "fn_index": fn_index, "session_hash": session, "event_data": event}
    said = stranger.http.post("/gradio_api/queue/join", json=body).text
    with stranger.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            said += line
            if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                break
    return said


def test_no_function_of_any_page_opens_anothers_project(
    strangers: tuple[Stranger, Stranger], data: Path
) -> None:
    """Every function that a script calls, every handler, every endpoint, with the id of Bea's project:
    Ann sees nothing of it and changes nothing. Bea does, else this would prove nothing."""
    ann, bea = strangers
    project = theirs_made(data, bea.token, "BeaBeaBea")
    config = ann.http.get("/config").json()
    functions = [(c["id"], name) for c in config["components"] for name in c["props"].get("server_fns") or ()]
    assert len(functions) > 35
    before, leaks = rows_with(data, project), []
    place = {"project": project, "step": "choose", "language": "en"}
    more = {"sha256": "f" * 64, "photo": "f" * 64, "items": ["f" * 64], "name": "BeaBea", "ids": [0]}
    for component, name in functions:
        call = {"session_hash": ann.session, "component_id": component, "fn_name": name}
        answer = ann.http.post("/gradio_api/component_server", json=call | {"data": place | more})
        if answer.json() != {"error": "This project is not here any more."}:
            leaks.append(f"{name}: {answer.text[:200]}")
    verbs = ("open", "rename", "duplicate", "hurry", "begin", "call_off", "delete")
    for handler in config["dependencies"]:
        if not handler["backend_fn"] or handler["api_visibility"] != "private":
            continue
        sent = [place, *[None] * (len(handler["inputs"]) - 1)]
        acts = any(event == "act" for _, event in handler["targets"])
        for event in [place | more | {"what": verb} for verb in (verbs if acts else ("open",))]:
            if ann.mark.decode() in (said := answers(ann, handler["id"], sent, event)) or "BeaBeaBea" in said:
                leaks.append(f"handler {handler['id']}: {said[-300:]}")
    for handler in config["dependencies"]:
        if handler["api_visibility"] == "public" and handler["api_name"] != "create":
            sent = [ann.token, project, *["train_package.zip"] * (len(handler["inputs"]) - 2)]
            if "BeaBeaBea" in (said := answers(ann, handler["id"], sent, None)):
                leaks.append(f"{handler['api_name']}: {said[-300:]}")
    assert leaks == []
    assert rows_with(data, project) == before and (data / "projects" / "BeaBeaBea").is_dir()
    own = {"session_hash": bea.session, "fn_name": "pushing", "data": place}
    component = next(component for component, name in functions if name == "pushing")
    seen = bea.http.post("/gradio_api/component_server", json=own | {"component_id": component}).json()
    assert "error" not in seen and seen["by"] == "typed"
    assert "BeaBeaBea" in answers(bea, 0, [place], None)


def test_ones_own_upload_can_be_seen(strangers: tuple[Stranger, Stranger]) -> None:
    """The fence is around strangers, not around the visitor: else the test above would prove nothing."""
    ann, _ = strangers
    answer = ann.http.get(f"/gradio_api/file={ann.path}")
    assert answer.status_code == 200 and answer.content == ann.photo
    own = {"path": ann.path, "meta": {"_type": "gradio.FileData"}}
    assert ann.join([own]).status_code != 403


def test_a_text_of_mine_hands_me_no_file_of_yours(strangers: tuple[Stranger, Stranger]) -> None:
    """A name or caption that looks like the app's own answer does not open another's file."""
    from lora_builder.ui.fence import _handed_out

    _, bea = strangers
    evil = json.dumps({"label": f'"path":"{bea.path}"'}).encode()
    assert list(_handed_out(evil)) == []
    assert list(_handed_out(json.dumps({"path": bea.path}).encode())) == [bea.path]


def test_every_answer_tells_the_browser_to_hold_back(strangers: tuple[Stranger, Stranger]) -> None:
    """No sniffing, no framing by others, no referrer, and no script that could send anything elsewhere."""
    ann, _ = strangers
    for path in ("/", "/config", "/healthz", "/nothing", f"/gradio_api/file={ann.path}"):
        headers = ann.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "connect-src 'self' data: blob:;" in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_a_page_of_the_internet_cannot_pose_as_this_machine(address: str) -> None:
    """A foreign name that was made to point here (DNS rebinding) opens nothing."""
    for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", ""):
        assert httpx.get(f"{address}/", headers={"Host": name}).status_code in (400, 421)
    assert httpx.get(f"{address}/", headers={"Host": "localhost:7860"}).status_code == 200


def test_uploads_have_a_limit_each_hour(address: str) -> None:
    """One visitor cannot fill the server's disk."""
    greedy = Stranger(address, "GreGreGre")
    codes = [greedy.upload("large.jpg", os.urandom(6 << 20)).status_code for _ in range(4)]
    assert codes[0] == 200 and codes[-1] == 429
    assert Stranger(address, "ModModMod").upload("small.jpg", b"x").status_code == 200


def test_a_hostile_file_is_never_shown_as_a_page(strangers: tuple[Stranger, Stranger]) -> None:
    """An uploaded page or drawing with a script comes back as a download."""
    ann, _ = strangers
    for name, data in (("a.svg", b"<svg onload=alert(1)>"), ("b.html", b"<script>alert(1)</script>")):
        path = ann.upload(name, data).json()[0]
        headers = ann.http.get(f"/gradio_api/file={path}").headers
        assert headers["content-disposition"].startswith("attachment")


def test_health_is_for_everybody_and_figures_for_the_operator(address: str) -> None:
    """A load balancer asks /healthz; counts and the log want the token."""
    assert httpx.get(f"{address}/healthz").json()["status"] == "ok"
    assert httpx.get(f"{address}/metrics").status_code == 404
    bearer = {"Authorization": "Bearer let-me-look"}
    metrics = httpx.get(f"{address}/metrics", headers=bearer).text
    assert re.search(r"^lora_builder_free_disk_bytes \d", metrics, re.MULTILINE)
    assert httpx.get(f"{address}/log", headers=bearer).status_code == 200
    assert isinstance(httpx.get(f"{address}/log?format=json", headers=bearer).json(), list)


def test_with_a_login_nobody_is_in_without_one(tmp_path: Path) -> None:
    """`login` closes the page, the files and the handlers; one name is one visitor in every browser."""
    with running_app(tmp_path / "data", free_port(), LOGIN="ann:pass-word-1,bea:pass-word-2") as url:
        for path in ("/config", "/gradio_api/info", f"/gradio_api/file={tmp_path}/data/lora.db"):
            assert httpx.get(f"{url}{path}").status_code in (401, 403, 404)
        forged = {COOKIE: "a" * 40}
        assert httpx.get(f"{url}/config", cookies=forged).status_code == 401
        wrong = httpx.post(f"{url}/login", data={"username": "ann", "password": "no"})
        assert wrong.status_code >= 400
        seen = []
        for name, word in (("ann", "pass-word-1"), ("ann", "pass-word-1"), ("bea", "pass-word-2")):
            browser = httpx.Client(base_url=url)
            assert browser.post("/login", data={"username": name, "password": word}).status_code == 200
            assert browser.get("/").cookies.get(COOKIE) is None and browser.get("/config").status_code == 200
            if not seen:
                photo = {"files": ("a.jpg", b"of ann", "image/jpeg")}
                path = browser.post("/gradio_api/upload", files=photo).json()[0]
            seen.append(browser.get(f"/gradio_api/file={path}").status_code)
        assert seen == [200, 200, 404]
        guess = {"username": "ann", "password": "guess"}
        codes = [httpx.post(f"{url}/login", data=guess).status_code for _ in range(LOGINS_A_MINUTE)]
        assert codes[0] == 400 and codes[-1] == 429


def test_owners_are_forgotten_never_confused() -> None:
    """What is nobody's any more is not suddenly somebody's."""
    owners = Owners()
    owners.give("file", "ann")
    assert owners.has("file", "ann") and not owners.has("file", "bea") and not owners.has("other", "ann")
    assert owners.take("session", "ann") and not owners.take("session", "bea")
    assert not owners.has("file", "")


def test_a_visitor_has_so_many_jobs(settings: Settings, tmp_path: Path) -> None:
    """On a shared server one visitor does not keep everybody waiting."""
    from lora_builder.errors import BadInput
    from tests.ui.test_desk import a_desk

    with Store(settings.database) as store:
        desk = a_desk(settings.model_copy(update={"visitor_jobs": 1}), store)
        desk.jobs._wake = lambda: None  # type: ignore[method-assign]
        first, second = (desk.intake.create("a" * 40, name, "en") for name in ("one", "two"))
        desk.run(first)
        with pytest.raises(BadInput, match="1 jobs"):
            desk.run(second)
        other = desk.intake.create("b" * 40, "three", "en")
        desk.run(other)


def test_the_picture_route_gives_nothing_without_a_signature(strangers: tuple[Stranger, Stranger]) -> None:
    """Knowing a photo's SHA-256 is not enough."""
    ann, _ = strangers
    digest = hashlib.sha256(ann.photo).hexdigest()
    signature = base64.b16encode(os.urandom(16)).decode().lower()
    assert ann.http.get(f"/ldb/picture/thumb/{digest}/{signature}").status_code == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoints", ["openai=https://evil.example/v1"]),
        ("endpoint_keys", {"openai": "x"}),
        ("references", ["/etc/ssl/private/somebody.jpg"]),
        ("references", ["INSIDE/../../another/input/1.jpg"]),
        ("regularisation", "/home"),
    ],
)
def test_settings_of_a_visitor_reach_no_other_server_and_no_other_file(
    settings: Settings, name: str, value: object
) -> None:
    """The server's keys go to no address of a visitor's; its files into no visitor's dataset."""
    from lora_builder.errors import BadSettings
    from tests.ui.test_desk import a_desk

    with Store(settings.database) as store:
        desk = a_desk(settings, store, local=False)
        project = desk.intake.create("a" * 40, "one", "en")
        if isinstance(value, list):
            value = [str(entry).replace("INSIDE", str(project.folder)) for entry in value]
        with pytest.raises(BadSettings):
            desk.set_settings(project, {name: value})
        for machine in ("data_dir", "private_endpoints", "visitor_jobs", "database_url", "login"):
            changed = desk.set_settings(project, {machine: "allow"})
            assert getattr(changed, machine) == getattr(settings, machine)


def test_a_program_without_cookies_can_use_the_api(address: str) -> None:
    """`gradio_client` keeps no cookie: it uploads, creates, waits, with a token of its own."""
    from gradio_client import Client, handle_file
    from skimage import data as pictures

    photo = Path(pictures.__file__).parent / "astronaut.png"
    program = Client(address, verbose=False)
    made = program.predict("t" * 40, [handle_file(str(photo))], "by program", None, api_name="/create")
    assert program.predict("t" * 40, made["project"], api_name="/status")["state"] in {
        "queued",
        "running",
        "done",
    }
    with pytest.raises(Exception, match="no such project"):
        program.predict("u" * 40, made["project"], api_name="/status")
    program.predict("t" * 40, made["project"], api_name="/delete")


def test_share_links_are_off_and_warn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A public address is opened only by whoever asks for it, and after a warning."""
    import gradio as gr

    from lora_builder.ui import app

    asked: list[bool] = []

    def launched(self: gr.Blocks, **how: object) -> object:
        asked.append(bool(how["share"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(gr.Blocks, "launch", launched)
    monkeypatch.setattr(app.logs, "start", lambda settings: None)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    for share in (False, True):
        with pytest.raises(KeyboardInterrupt):
            app.launch(settings.model_copy(update={"share": share}))
    assert asked == [False, True]
    assert capsys.readouterr().out.count("Warning") == 1
