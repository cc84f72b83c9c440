"""Signing in: by password, by the Hub's OAuth; whoever signs in is one visitor in every browser."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from gradio import oauth
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from typer.testing import CliRunner

from lora_builder import passwords
from lora_builder.cli import app as cli
from lora_builder.errors import BadSettings
from lora_builder.passwords import Passwords
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from lora_builder.ui import accounts, door
from lora_builder.ui.accounts import Accounts, KnowAccounts
from lora_builder.ui.door import COOKIE, SIGNED_IN
from tests.oidc_server import CLIENT, SCOPES, SECRET, Provider, running_provider


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with running_provider() as server:
        monkeypatch.setattr(oauth, "OAUTH_CLIENT_ID", CLIENT)
        monkeypatch.setattr(oauth, "OAUTH_CLIENT_SECRET", SECRET)
        monkeypatch.setattr(oauth, "OAUTH_SCOPES", SCOPES)
        monkeypatch.setattr(oauth, "OPENID_PROVIDER_URL", server.url)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


class Site:
    """Gradio's OAuth behind our middleware, and one page that says who looks at it."""

    def __init__(self, settings: Settings, now: list[float]) -> None:
        self.accounts = Accounts(b"k" * 32, clock=lambda: now[0])
        self.given: list[tuple[str, str]] = []
        who = Middleware(
            KnowAccounts,
            accounts=self.accounts,
            passwords=Passwords(settings),
            settings=settings,
            hand_over=lambda old, new: self.given.append((old, new)),
        )
        self.app = FastAPI(middleware=[who, *door.middleware()])

        @self.app.get("/")
        def root(request: Request) -> dict[str, str]:
            return {"who": door.visitor(request.cookies)}

        oauth.attach_oauth(self.app)

    def browser(self) -> TestClient:
        """A browser that has the page open."""
        opened = TestClient(self.app, base_url="https://space.example")
        opened.get("/")
        return opened

    def sign_in(self, provider: Provider, browser: TestClient) -> None:
        """The way that a click on the button goes."""
        away = browser.get("/login/huggingface?_target_url=%2F%3Fstep%3Dexport", follow_redirects=False)
        import httpx

        back = httpx.get(away.headers["location"]).headers["location"]
        landed = browser.get(back, follow_redirects=False)
        assert landed.headers["location"] == "/?step=export"


@pytest.fixture
def now() -> list[float]:
    import time

    return [time.time()]


@pytest.fixture
def site(settings: Settings, provider: Provider, now: list[float]) -> Site:
    return Site(settings, now)


def who(browser: TestClient) -> str:
    return str(browser.get("/").json()["who"])


def test_whoever_signs_in_with_the_hub_is_one_visitor_everywhere(site: Site, provider: Provider) -> None:
    """The same account in two browsers is one visitor, another account another; signed out, neither."""
    one, two, three = site.browser(), site.browser(), site.browser()
    anonymous = who(one)
    site.sign_in(provider, one)
    site.sign_in(provider, two)
    provider.person = ("2", "bea")
    site.sign_in(provider, three)
    ann, bea = who(one), who(three)
    assert ann == who(two) != bea and ann.startswith(SIGNED_IN) and anonymous != ann
    assert site.accounts.of(ann).name == "ann"  # type: ignore[union-attr]
    assert site.given[0] == (anonymous, ann)
    one.get("/logout", follow_redirects=False)
    assert who(one) == anonymous and who(two) == ann


def test_a_name_that_is_given_to_somebody_else_opens_nothing(site: Site, provider: Provider) -> None:
    """Accounts are told apart by what never changes at the Hub, not by their names."""
    one, two = site.browser(), site.browser()
    site.sign_in(provider, one)
    provider.person = ("99", "ann")
    site.sign_in(provider, two)
    assert who(one) != who(two)


def test_no_cookie_holds_the_token(site: Site, provider: Provider) -> None:
    """Gradio would leave it in a cookie, readable; here it is in the memory of the server alone."""
    browser = site.browser()
    site.sign_in(provider, browser)
    held = "".join(f"{value}" for value in browser.cookies.values())
    plain = b"".join(base64.b64decode(part + "==", altchars=b"-_") for part in held.split(".") if part)
    owner = who(browser)
    for secret in (provider.token, owner):
        assert secret not in held and secret.encode() not in plain
    assert site.accounts.hub_token(owner) == provider.token


def test_a_token_is_good_as_long_as_the_hub_says(site: Site, provider: Provider, now: list[float]) -> None:
    """After that nothing is pushed with it; the visitor is still who they are."""
    browser = site.browser()
    site.sign_in(provider, browser)
    owner = who(browser)
    now[0] += provider.expires_in + 60
    assert site.accounts.hub_token(owner) == "" and who(browser) == owner
    now[0] += accounts.STAYS_S
    assert who(browser) != owner


def test_nobody_can_come_with_the_token_of_an_account(site: Site, provider: Provider) -> None:
    """Not even one who had seen it: no browser may name a visitor who signed in."""
    browser = site.browser()
    site.sign_in(provider, browser)
    thief = TestClient(site.app, base_url="https://space.example", cookies={COOKIE: who(browser)})
    assert who(thief) != who(browser)


def test_an_answer_to_somebody_elses_login_signs_nobody_in(site: Site, provider: Provider) -> None:
    """A link with the attacker's code does not make the victim's browser the attacker's account."""
    import httpx

    attacker, victim = site.browser(), site.browser()
    away = attacker.get("/login/huggingface", follow_redirects=False).headers["location"]
    back = httpx.get(away).headers["location"]
    victim.get(back, follow_redirects=False)
    assert not who(victim).startswith(SIGNED_IN) and site.given == []


def test_oauth_is_there_where_the_space_asks_for_it(
    settings: Settings, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not on a laptop, nor where a password is asked for."""
    assert accounts.oauth_ready(settings)
    assert not accounts.oauth_ready(settings.model_copy(update={"login": load(login="a:b").login}))
    monkeypatch.delenv("OAUTH_CLIENT_SECRET")
    assert not accounts.oauth_ready(settings)


def test_what_was_made_before_signing_in_comes_along(settings: Settings, tmp_path: Path) -> None:
    """Projects and recipes go to the account; nobody else's do."""
    from lora_builder.caption.records import StoredTemplate
    from lora_builder.records import Edits

    with Store(settings.database) as store:
        for owner in ("guest", "other"):
            store.project(tmp_path / owner, owner, tmp_path, owner)
            store.finishing.save_recipe(f"of {owner}", Edits(auto_levels=True), owner)
        store.templates.save(StoredTemplate("mine", {}, "guest"))
        store.finishing.save_recipe("both", Edits(mirror=True), "guest")
        store.finishing.save_recipe("both", Edits(), "account")
        assert store.hand_over("guest", "account") == 1
        assert [project.name for project in store.projects("account")] == ["guest"]
        assert [project.name for project in store.projects("other")] == ["other"]
        assert store.finishing.recipes("account") == {"of guest": Edits(auto_levels=True), "both": Edits()}
        assert set(store.finishing.recipes("other")) == {"of other"}
        assert [template.owner for template in store.templates.all("account")] == ["account"]


def test_passwords_are_kept_as_hashes_and_read_again(tmp_path: Path) -> None:
    """`login` writes no password; who is taken out of the file is out without a restart."""
    path, run = tmp_path / "logins", CliRunner().invoke
    for name in ("ann", "bea"):
        done = run(cli, ["login", name, "--file", str(path)], input=f"secret of {name}\n" * 2)
        assert done.exit_code == 0, done.output
    assert "secret" not in path.read_text() and path.stat().st_mode & 0o077 == 0
    known = Passwords(load(login_file=path, login="cid:plain-word"))
    assert known.check("ann", "secret of ann") and known.check("cid", "plain-word")
    assert not known.check("ann", "secret of bea") and not known.check("nobody", "secret of ann")
    assert run(cli, ["login", "ann", "--file", str(path), "--remove"]).exit_code == 0
    assert not known.knows("ann") and not known.check("ann", "secret of ann") and known.knows("bea")
    path.unlink()
    assert known.needed and not known.knows("bea")


@pytest.mark.parametrize("kept", ["scrypt$", "scrypt$1$2$3", "scrypt$x$8$1$AA==$AA==", "scrypt$0$0$0$$"])
def test_a_broken_line_lets_nobody_in(kept: str) -> None:
    """Whatever the file holds, a line that makes no sense fits no password."""
    assert not passwords.fits("", kept) and not passwords.fits(kept, kept)


@pytest.mark.parametrize(("name", "word"), [("a:b", "long enough"), ("", "long enough"), ("ann", "short")])
def test_bad_names_and_short_passwords_are_refused(tmp_path: Path, name: str, word: str) -> None:
    """They would not work, or not help."""
    with pytest.raises(BadSettings):
        passwords.write(tmp_path / "logins", name, word)


def test_a_login_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    """A typing mistake does not open the app to everybody."""
    with pytest.raises(BadSettings, match="not there"):
        Passwords(load(login_file=tmp_path / "absent"))
