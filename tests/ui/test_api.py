"""The named endpoints, called as other programs call them: with gradio_client over HTTP."""

from __future__ import annotations

import json
import urllib.request
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from lora_builder.ui.door import new_token

from .conftest import Visitor

pytestmark = pytest.mark.browser


def test_a_program_goes_the_whole_way(address: str, tmp_path: Path, portrait: Image.Image) -> None:
    """Create, follow the events, read decisions, override one, run again, download; all with a token."""
    portrait.save(tmp_path / "a.png")
    client, token = Client(address, verbose=False), new_token()
    made = client.predict(
        token, [handle_file(tmp_path / "a.png")], "Ann", {"resolution": 512}, api_name="/create"
    )
    project = made["project"]
    states = [event["state"] for event in client.submit(token, project, api_name="/events")]
    assert states[-1] == "done"
    [decision] = client.predict(token, project, api_name="/decisions")
    assert (decision["source"], decision["verdict"]) == ("a.png", "kept")
    changed = client.predict(
        token, project, decision["sha256"], None, None, "ohwx, by me", api_name="/set_override"
    )
    assert changed["marks"]["export"] == "stale"
    client.predict(token, project, "", api_name="/run")
    assert [e["state"] for e in client.submit(token, project, api_name="/events")][-1] == "done"
    status = client.predict(token, project, api_name="/status")
    assert set(status["marks"].values()) == {"done"}
    with zipfile.ZipFile(
        client.predict(token, project, "train_package.zip", api_name="/download")
    ) as package:
        assert package.read("dataset/0001.txt") == b"ohwx, by me"

    other = new_token()
    for endpoint, more in (("status", []), ("decisions", []), ("download", ["report.html"]), ("delete", [])):
        with pytest.raises(AppError, match="no such project"):
            client.predict(other, project, *more, api_name=f"/{endpoint}")
    with pytest.raises(AppError, match="no token"):
        client.predict("short", project, api_name="/status")
    client.predict(token, project, api_name="/delete")
    with pytest.raises(AppError, match="no such project"):
        client.predict(token, project, api_name="/status")
    client.close()


def test_a_visitors_own_program_sees_their_projects(visitor: Visitor, photos: list[Path]) -> None:
    """A token made in the app lets a program at the visitor's projects, until it is revoked."""
    page = visitor.page
    visitor.upload(photos[0])
    visitor.finish()
    project = page.url.split("project=")[1].split("&")[0]
    page.click("#ldb-access")
    page.click("#ldb-make-token")
    token = page.locator("#ldb-token").input_value()
    cookie = next(c["value"] for c in visitor.context.cookies() if c["name"] == "ldb_visitor")
    assert token != cookie
    client = Client(visitor.address, verbose=False)
    assert client.predict(token, project, api_name="/status")["state"] == "done"
    page.reload()
    page.click("#ldb-access")
    assert token not in page.content()
    page.click("#ldb-revoke-token")
    page.locator("#ldb-revoke-token").wait_for(state="detached")
    with pytest.raises(AppError, match="no such project"):
        client.predict(token, project, api_name="/status")
    client.close()


def test_the_endpoints_are_those_of_the_documentation(address: str) -> None:
    """docs/api.md names every endpoint with its parameters, and no other."""
    with urllib.request.urlopen(f"{address}/gradio_api/info") as answer:
        endpoints = json.load(answer)["named_endpoints"]
    text = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for name, endpoint in endpoints.items():
        assert f"`{name[1:]}`" in text, name
        for parameter in endpoint["parameters"]:
            assert f"`{parameter['parameter_name']}`" in text, (name, parameter["parameter_name"])
    assert {name[1:] for name in endpoints} == {
        "create", "run", "status", "events", "decisions", "set_override", "download", "delete",
    }  # fmt: skip
