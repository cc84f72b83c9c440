"""A visitor's own vision model: whose key goes where, and that nothing goes before they agreed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lora_builder.caption.asking import templates_of
from lora_builder.caption.endpoints import endpoints_of, models_of
from lora_builder.caption.probe import probe
from lora_builder.errors import BadInput, BadSettings
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.ui import outward
from lora_builder.ui.desk import AGREED, Desk
from lora_builder.ui.door import new_token
from lora_builder.ui.editors import model_list, templates
from lora_builder.ui.outward import Outside
from lora_builder.ui.runs import current_stamps, jobs_of, stamped_run
from lora_builder.ui.steps import View
from lora_builder.ui.steps.choose import Choose
from lora_builder.ui.steps.crop import Crop
from lora_builder.ui.steps.endpoints import TESTS_AN_HOUR, Endpoints
from lora_builder.vision_focus import DOUBTS
from tests.caption.conftest import Unruly, _server, server  # noqa: F401

from .editor_pages import decision
from .made_project import made_project

KEY = "sk-of-the-visitor-0123456789"
MACHINES = "sk-of-the-machine-9876543210"
PUBLIC = "https://api.openai.com/v1"


def place(folder: Path, local: bool, **settings: Any) -> Iterator[View]:
    given = load(data_dir=folder / "data", workers=1, modelscope_token=SecretStr(MACHINES), **settings)
    with Store(given.database) as store:
        desk, owner = Desk(given, store, jobs_of(store, given, local=local), local), new_token()
        project = made_project(store, given, owner, 4, pictures=False)
        yield View(desk, owner, project, "en", "caption")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[View]:
    """A visitor of a shared app whose machine has keys of its own in every place."""
    for name in ("OPENAI_API_KEY", "API_OPENAI_COM_API_KEY", "OWN_API_KEY"):
        monkeypatch.setenv(name, MACHINES)
    yield from place(tmp_path, local=False)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[View]:
    """The person at the machine."""
    yield from place(tmp_path, local=True)


def in_force(view: View, settings: Settings | None = None) -> Settings:
    desk = view.desk
    return outward.applied(desk.store, view.theirs, settings or view.settings, desk.keys, desk.local)


def choose(view: View, url: str, agreed: bool = True, keyed: bool = False) -> Outside:
    chosen = outward.added(None, outward.checked(url, ["alpha"], view.settings), keyed)
    outward.write(view.desk.store, view.theirs, chosen)
    outward.agree(view.desk.store, view.theirs, chosen, agreed)
    return chosen


@pytest.mark.parametrize(
    "url",
    [PUBLIC, "https://api-inference.modelscope.cn/v1", "https://evil.example/v1", "http://127.0.0.1:8000/v1"],
)
def test_the_machines_keys_go_to_no_address_of_a_visitor(shared: View, url: str) -> None:
    """Without a key of the visitor's own none is sent, also where the machine has one for that service."""
    choose(shared, url)
    found = list(endpoints_of(in_force(shared)).values())
    assert [(place.url, place.key.get_secret_value()) for place in found] == [(url, "")]
    assert (
        outward.place(url, SecretStr(""), shared.settings, shared.owner, False).key.get_secret_value() == ""
    )


def test_not_even_for_the_person_at_the_machine(local: View, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that was typed gets the key that was typed, and no other."""
    monkeypatch.setenv("OPENAI_API_KEY", MACHINES)
    choose(local, PUBLIC)
    assert [place.key.get_secret_value() for place in endpoints_of(in_force(local)).values()] == [""]


def test_a_visitors_key_is_theirs_and_goes_to_one_address(shared: View) -> None:
    """It is used at the address that it was typed for, by the visitor who typed it."""
    keys = shared.desk.keys
    keys.keep(shared.owner, PUBLIC, SecretStr(KEY))
    choose(shared, PUBLIC, keyed=True)
    models = models_of(in_force(shared), in_force(shared).tag_model)
    assert [model.endpoint.key.get_secret_value() for model in models] == [KEY]
    assert keys.of(shared.owner, "https://evil.example/v1").get_secret_value() == ""
    assert keys.of(new_token(), PUBLIC).get_secret_value() == ""


def test_on_a_shared_app_no_address_of_the_network_is_called(shared: View, server: Unruly) -> None:  # noqa: F811
    """Neither a test nor a run reaches a server on the machine or beside it, key or no key."""
    choose(shared, server.url)
    [place] = endpoints_of(in_force(shared)).values()
    assert not place.private_ok
    tested = outward.place(server.url, SecretStr(KEY), shared.settings, shared.owner, False)
    found = probe(tested, "alpha", shared.desk.store)
    assert not found.good and found.models == ()
    assert server.log == []


def test_the_person_at_the_machine_may_call_it(local: View, server: Unruly) -> None:  # noqa: F811
    """Local programs such as Ollama can be tested and used, with the key that was typed."""
    place = outward.place(server.url, SecretStr(KEY), local.settings, local.owner, True)
    assert probe(place, "alpha", local.desk.store).good
    assert [line["key"] for line in server.log] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("step", [None, "caption", "export"])
def test_nothing_starts_before_the_visitor_agreed_to_the_host(shared: View, step: str | None) -> None:
    """A run that would send pictures is refused, and no job is left; another host needs another yes."""
    chosen = choose(shared, PUBLIC, agreed=False)
    before = shared.desk.jobs.latest(shared.theirs.id)
    with pytest.raises(BadSettings, match="agreed"):
        shared.desk.run(shared.theirs, step)
    more = outward.checked("https://evil.example/v1", ["beta"], shared.settings)
    elsewhere = outward.added(replace(chosen, agreed=chosen.hosts), more, keyed=False)
    outward.write(shared.desk.store, shared.theirs, elsewhere)
    with pytest.raises(BadSettings, match=r"evil\.example"):
        shared.desk.run(shared.theirs, step)
    assert shared.desk.jobs.latest(shared.theirs.id) == before


def test_the_machines_own_endpoint_needs_a_yes_too(tmp_path: Path) -> None:
    """Whoever set up the app chose the endpoint; the visitor's photos still wait for the visitor."""
    for view in place(tmp_path, local=False, base_url=PUBLIC):
        with pytest.raises(BadInput, match=r"api\.openai\.com"):
            view.desk.may_run(view.theirs, "caption")
        view.desk.may_run(view.theirs, "photos")
        view.desk.store.notes.write(view.theirs.id, AGREED, {"hosts": "api.openai.com"})
        view.desk.may_run(view.theirs, "caption")


def test_the_machines_focus_model_is_not_asked_for_somebody_elses_yes(tmp_path: Path) -> None:
    """Whoever chose an endpoint of their own can cut crops, and the machine's endpoint gets nothing."""
    asked = []

    def run(store: Store, project: Project, settings: Settings, **_: Any) -> Iterator[Event]:
        asked.append(settings.focus_model)
        return iter(())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lora_builder.pipeline.run", run)
        for view in place(tmp_path, local=False, base_url=PUBLIC, focus_model="eye"):
            store, settings = view.desk.store, view.settings
            with pytest.raises(BadInput):
                view.desk.may_run(view.theirs, "crop")
            choose(view, "https://evil.example/v1", agreed=False)
            view.desk.may_run(view.theirs, "crop")
            stages = [Stage.FOCUS, Stage.CROP]
            list(stamped_run(store, view.theirs, settings, stages=stages, cancelled=lambda: False))
    assert asked == [""]


def test_a_run_whose_key_is_gone_says_so(shared: View) -> None:
    """After a restart of the app nothing is sent without the key, and no other author steps in."""
    choose(shared, PUBLIC, keyed=True)
    with pytest.raises(BadSettings, match="memory"):
        in_force(shared)


def test_the_key_is_in_no_file(shared: View) -> None:
    """Neither the database nor anything else of the data folder holds it."""
    shared.desk.keys.keep(shared.owner, PUBLIC, SecretStr(KEY))
    choose(shared, PUBLIC, keyed=True)
    in_force(shared)
    files = [path for path in shared.desk.settings.data_dir.rglob("*") if path.is_file()]
    assert files and all(KEY.encode() not in path.read_bytes() for path in files)
    assert KEY not in repr(shared.desk) and KEY not in repr(in_force(shared))
    assert KEY not in json.dumps(in_force(shared).model_dump(mode="json"), default=str)


def test_several_endpoints_make_one_list_by_priority(shared: View) -> None:
    """Each model keeps its address, key, limits and prices; order and uses are the visitor's."""
    other = "https://openrouter.ai/api/v1"
    shared.desk.keys.keep(shared.owner, PUBLIC, SecretStr(KEY))
    choose(shared, PUBLIC, keyed=True)
    store, project = shared.desk.store, shared.theirs
    more = outward.checked(other, ["beta"], shared.settings)
    both = outward.added(outward.read(store, project), more, keyed=False)
    outward.write(store, project, both)
    with pytest.raises(BadSettings, match=r"openrouter\.ai"):
        in_force(shared)
    first, second = model_list.listed(shared)
    limits = {"per_minute": 30, "per_day": 500, "parallel": 2, "price_in": 0.2, "price_out": 0.6}
    model_list.arranged(shared, {"models": [second | limits | {"focus": True}, first]})
    outward.agree(store, project, outward.read(store, project) or both, yes=True)
    settings = in_force(shared)
    models = models_of(settings, settings.tag_model)
    assert [(model.name, model.endpoint.url) for model in models] == [("beta", other), ("alpha", PUBLIC)]
    assert [model.endpoint.key.get_secret_value() for model in models] == ["", KEY]
    assert {name: getattr(models[0], name) for name in limits} == limits
    assert [model.name for model in models_of(settings, settings.focus_model)] == ["beta"]


@pytest.mark.parametrize(
    "change",
    [{"url": "http://127.0.0.1:1/v1"}, {"model": "other"}, {"per_minute": 0}, {"price_in": -1},
     {"parallel": 1.5}, {"per_day": "9"}, {"captions": False}],
)  # fmt: skip
def test_the_list_takes_nothing_but_order_limits_and_uses(shared: View, change: dict[str, Any]) -> None:
    """No address comes in past the check, and no limit that is none."""
    choose(shared, PUBLIC)
    before = outward.read(shared.desk.store, shared.theirs)
    [only] = model_list.listed(shared)
    with pytest.raises(BadSettings):
        model_list.arranged(shared, {"models": [only | change]})
    assert outward.read(shared.desk.store, shared.theirs) == before
    model_list.arranged(shared, {"models": []})
    assert outward.read(shared.desk.store, shared.theirs) is None


def test_a_model_for_the_focus_waits_for_the_yes_in_crop_too(shared: View) -> None:
    """The whole photos go out there; without such a model a crop sends nothing and asks nobody."""
    choose(shared, PUBLIC, agreed=False)
    shared.desk.may_run(shared.theirs, "crop")
    [only] = model_list.listed(shared)
    model_list.arranged(shared, {"models": [only | {"focus": True}]})
    with pytest.raises(BadSettings, match="agreed"):
        shared.desk.may_run(shared.theirs, "crop")


def test_a_model_that_writes_captions_leaves_the_crops_as_they_are(shared: View) -> None:
    """Only the captions are out of date then; a model for the focus puts the crops out of date too."""
    store, project, settings = shared.desk.store, shared.theirs, shared.settings
    before = current_stamps(store, project, settings)
    choose(shared, PUBLIC)
    after = current_stamps(store, project, settings)
    assert before["crop"] == after["crop"] and before["caption"] != after["caption"]
    [only] = model_list.listed(shared)
    model_list.arranged(shared, {"models": [only | {"focus": True}]})
    assert current_stamps(store, project, settings)["crop"] != before["crop"]


def test_a_note_of_one_address_is_still_read(shared: View) -> None:
    """A project that was set up before there were lists goes on as it was."""
    old = {"url": PUBLIC, "models": ["alpha"], "fallback": "beta", "keyed": True, "agreed": "api.openai.com"}
    shared.desk.store.notes.write(shared.theirs.id, outward.NOTE, old)
    chosen = outward.read(shared.desk.store, shared.theirs)
    assert chosen and [named.model for named in chosen.models] == ["alpha", "beta"]
    assert chosen.may_send and chosen.keyed == (PUBLIC,)


def test_tests_of_a_connection_are_counted_on_a_shared_app(shared: View) -> None:
    """A visitor cannot have the server knock at doors without end."""
    for _ in range(TESTS_AN_HOUR):
        shared.desk.quotas.take("test", TESTS_AN_HOUR, shared.owner, 1)
    with pytest.raises(BadInput, match=str(TESTS_AN_HOUR)):
        Endpoints()._probe(shared, PUBLIC, "", "alpha")


def test_a_visitors_templates_are_edited_previewed_kept_and_shared(shared: View) -> None:
    """What is saved is in force and theirs alone; a bad one is refused with its reason."""
    photo = shared.desk.store.photos(shared.theirs.id)[0][0]
    shared.desk.store.save_decisions(shared.theirs.id, [decision(photo.source.name, photo.sha256)])
    mine = {"name": "mine", "system": "Look.", "user": "A {class_word}, in {language}.", "structured": False}
    assert "person, in English" in templates.previewed(shared, mine)["prompt"]
    with pytest.raises(BadSettings, match="nonsense"):
        templates.previewed(shared, mine | {"user": "{nonsense}"})
    with pytest.raises(BadSettings, match="built in"):
        templates.saved(shared, mine | {"name": "standard"})
    opened = templates.saved(shared, mine)
    assert opened["chosen"] == "mine" == shared.settings.caption_template
    assert [one["name"] for one in opened["templates"] if one["own"]] == ["mine"]
    file = templates.exported(shared, mine)
    assert templates.imported(shared, {"text": file["text"]})["template"] == mine
    assert "mine" not in templates_of(shared.desk.store, new_token())
    assert templates.deleted(shared, {"name": "mine"})["chosen"] == "standard"


def test_what_a_model_would_not_use_is_seen_in_choose_and_crop(shared: View) -> None:
    """The photo stays, with the model's reason on it in both steps."""
    store, project = shared.desk.store, shared.theirs
    photo = store.photos(project.id)[0][0]
    store.save_decisions(project.id, [decision(photo.source.name, photo.sha256)])
    store.notes.write(project.id, DOUBTS, {photo.sha256: "hand over the face (alpha@lab)"})
    [shown] = Crop().open_crops(shared, {})["photos"]
    assert shown["check"] and "hand over the face" in shown["crops"][""]["warnings"][0]["text"]
    bench = shared.desk.bench(project)
    at = [one.sha256 for one in bench.photos].index(photo.sha256)
    assert any("hand over the face" in line for line in Choose().story(shared, {"photo": at})["warnings"])
