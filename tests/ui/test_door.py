"""Who a visitor is, and who may see a picture."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lora_builder.ui import door


def an_app(signer: door.Signer) -> Starlette:
    def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    def picture(kind: str, name: str) -> bytes:
        return b"jpeg" if name == "ab" else b""

    routes = [*door.routes(signer, picture, lambda name, owner: None), Route("/", page)]
    return Starlette(routes=routes, middleware=door.middleware())


def test_a_visitor_gets_a_token_no_script_can_read() -> None:
    """The first page brings a random HttpOnly cookie, and the next visit keeps it."""
    client = TestClient(an_app(door.Signer()))
    first = client.get("/")
    assert "httponly" in first.headers["set-cookie"].lower()
    token = client.cookies[door.COOKIE]
    assert door.visitor({door.COOKIE: token}) == token
    client.get("/")
    assert client.cookies[door.COOKIE] == token
    assert TestClient(an_app(door.Signer())).get("/").cookies[door.COOKIE] != token


def test_a_made_up_token_is_none() -> None:
    """Short, strange and missing tokens are nobody's."""
    for wrong in ("", "short", "x" * 200, "a" * 40 + "\n", "ü" * 40):
        assert door.visitor({door.COOKIE: wrong}) == ""
    assert door.visitor({}) == ""


def test_a_picture_is_served_to_its_visitor_alone() -> None:
    """An address that was given to one visitor shows another one nothing, also not a changed one."""
    signer = door.Signer()
    client, other = TestClient(an_app(signer)), TestClient(an_app(signer))
    client.get("/"), other.get("/")
    address = signer.address("thumb", "ab", client.cookies[door.COOKIE])
    answer = client.get(f"/{address}")
    assert (answer.status_code, answer.content) == (200, b"jpeg")
    assert "private" in answer.headers["cache-control"]
    assert other.get(f"/{address}").status_code == 404
    assert client.get(f"/{address}".replace("thumb", "preview")).status_code == 404
    assert client.get(f"/{address}x").status_code == 404
    missing = signer.address("thumb", "cd", client.cookies[door.COOKIE])
    assert client.get(f"/{missing}").status_code == 404
