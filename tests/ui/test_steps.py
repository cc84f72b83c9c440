"""What the steps answer to their scripts, without a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lora_builder.errors import BadInput
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.ui.bench import Benches
from lora_builder.ui.desk import Desk
from lora_builder.ui.door import new_token
from lora_builder.ui.runs import jobs_of
from lora_builder.ui.steps import View
from lora_builder.ui.steps.choose import Choose
from lora_builder.ui.steps.export import Export
from lora_builder.ui.steps.people import People
from lora_builder.ui.steps.photos import Photos
from lora_builder.ui.verdicts import Editions

from .made_project import made_project, made_strangers


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """A visitor looking at a project of 60 made-up photos."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("steps") / "data", workers=1)
    with Store(settings.database) as store:
        desk, owner = Desk(settings, store, jobs_of(store, settings), True), new_token()
        project = made_project(store, settings, owner, 60, pictures=False)
        yield View(desk, owner, project, "en", "people")


@pytest.fixture
def strangers(place: View) -> View:
    """The same visitor looking at ten photos of ten people, the later ones nearer."""
    desk = place.desk
    return replace(place, project=made_strangers(desk.store, desk.settings, place.owner))


def test_one_click_says_who_the_project_is_about(place: View) -> None:
    """Marking another person makes them the subject, and undo gives the first one back."""
    people = People()
    found = people.load(place, {})["people"]
    assert [person["subject"] for person in found].count(True) == 1
    other = next(person for person in found if not person["subject"])
    marked = people.mark(place, {"at": other["at"], "mark": True})["people"]
    chosen = next(person for person in marked if person["subject"])
    assert chosen["at"] == other["at"]
    again = people.undo(place, {})["people"]
    assert [person["subject"] for person in again] == [person["subject"] for person in found]


def test_a_face_that_is_not_there_cannot_be_marked(place: View) -> None:
    """A page that sends nonsense changes nothing."""
    before = place.desk.store.overrides(place.theirs.id)
    for at in (None, ["nobody", 0], "x", [1, 2, 3]):
        People().mark(place, {"at": at, "mark": True})
    assert place.desk.store.overrides(place.theirs.id) == before


def test_a_slider_on_its_way_keeps_nothing(place: View) -> None:
    """Regrouping answers with what would change; only letting go keeps the setting, once to undo."""
    choose = Choose()
    choose.editions = Editions()
    first = choose.load(place, {})
    depth = first["depth"][0]
    moved = {"edition": first["edition"], "settings": {"min_brightness": 0.6}}
    changed = choose.regroup(place, moved)["changed"]
    assert 0 < len(changed) < 60
    assert place.settings.min_brightness == Settings().min_brightness
    kept = choose.tune(place, moved)
    assert place.settings.min_brightness == 0.6
    assert kept["depth"][0] == depth + 1
    choose.undo(place, {})
    assert place.settings.min_brightness == Settings().min_brightness


def undecided(rows: list[list[int]]) -> set[int]:
    return {at for at, *row in rows if row[4]}


def test_who_answers_an_undecided_photo_is_not_asked_again(strangers: View) -> None:
    """All ten wait for a word; kept or left out by the user they no longer do, and automatic asks again."""
    choose = Choose()
    choose.editions = Editions()
    assert undecided(choose.load(strangers, {})["changed"]) == set(range(10))
    choose.decide(strangers, {"photos": [1], "keep": True})
    choose.decide(strangers, {"photos": [2], "keep": False})
    rows = choose.load(strangers, {})["changed"]
    assert undecided(rows) == {0, *range(3, 10)}
    assert [at for at, *row in rows if row[0]] == [1]
    assert "Undecided" not in choose.story(strangers, {"photo": 2})["why"]
    choose.decide(strangers, {"photos": [1, 2], "keep": None})
    assert undecided(choose.load(strangers, {})["changed"]) == set(range(10))


def test_kinds_of_repeats_are_judged_live(place: View) -> None:
    """Without a tick at any kind no photo is left out as a repeat; the tick is kept and undone."""
    choose = Choose()
    choose.editions = Editions()
    first = choose.load(place, {})
    assert any(row[3] >= 0 for row in first["changed"])
    sent = {"settings": {"duplicates": []}}
    assert not any(row[3] >= 0 for row in choose.regroup(place, sent)["changed"])
    choose.tune(place, sent)
    assert place.settings.duplicates == ()
    choose.undo(place, {})
    assert place.settings.duplicates == Settings().duplicates


def test_where_nobody_appears_twice_the_faces_are_shown(strangers: View) -> None:
    """Ten people once each: all their faces, the largest first; one click names the subject alone."""
    people = People()
    found = people.load(strangers, {})
    assert (found["people"], found["chosen"]) == ([], "unsure")
    assert [face["name"] for face in found["alone"]] == [f"{n}.jpg" for n in range(9, -1, -1)]
    assert not any(face["subject"] for face in found["alone"])
    marked = people.mark(strangers, {"at": found["alone"][4]["at"], "mark": True})
    assert marked["chosen"] == "named"
    assert [face["name"] for face in marked["alone"] if face["subject"]] == ["5.jpg"]
    assert people.undo(strangers, {})["chosen"] == "unsure"


def test_questions_at_once_are_answered_one_by_one(place: View) -> None:
    """A page that drags a slider and asks why at the same time gets whole answers to all of it."""
    choose = Choose()
    choose.editions = Editions()
    wanted = [{"settings": {"min_brightness": n // 8 / 40}} for n in range(48)]
    alone = [choose.regroup(place, data)["changed"] for data in wanted]
    fresh = replace(place, desk=replace(place.desk, benches=Benches()))
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(lambda data: choose.regroup(fresh, data), wanted))
    finally:
        sys.setswitchinterval(usual)
    assert [answer["changed"] for answer in answers] == alone


def test_a_photo_tells_why(place: View) -> None:
    """Every photo has a sentence and figures in both languages; one that is not there has none."""
    choose = Choose()
    choose.editions = Editions()
    for language in ("en", "zh"):
        there = replace(place, language=language)
        for at in range(20):
            told = choose.story(there, {"photo": at})
            assert told["why"]
            assert all(name and value for name, value in told["figures"])
    assert choose.story(place, {"photo": 10**6}) == choose.story(place, {"photo": None}) == {}


def test_an_export_that_was_never_packed_says_so(place: View) -> None:
    """Before a run there is no plan and no file; trainers can be chosen already."""
    export = Export()
    state = export.choose(place, {"layouts": ["kohya", "nonsense"], "base": "flux"})
    assert (state["images"], state["files"], state["base"]) == (0, [], "flux")
    assert [name for name, _, on in state["layouts"] if on] == ["kohya"]


def test_portrait_sizes_and_further_pictures_are_chosen_for_all_photos(place: View) -> None:
    """The crops are then out of date, what was chosen is not; nonsense changes nothing."""
    export = Export()
    before = place.desk.marks(place.theirs)
    state = export.choose(place, {"buckets": True, "extras": ["bust", "nonsense"]})
    assert state["buckets"] is True and dict(state["extras"]) == {"face": False, "bust": True, "full": False}
    assert place.settings.buckets == ("auto",) and place.settings.extra_crops == ("bust",)
    assert place.desk.marks(place.theirs)["choose"] == before["choose"]
    assert export.choose(place, {"buckets": "x", "extras": 7})["buckets"] is True
    assert export.choose(place, {"buckets": False, "extras": []})["buckets"] is False


def test_the_gallery_names_every_file(place: View) -> None:
    """All files are listed, the unreadable ones with why; a page that knows them gets nothing again."""
    answer = Photos().gallery(place, {})
    assert len(answer["photos"]) == 60
    assert answer["problems"] == [["broken.jpg", "The file is empty. Copy it again.", "broken.jpg"]]
    assert Photos().gallery(place, {"seen": answer["key"]}) == {"same": True}


def test_nothing_uploaded_is_a_plain_sentence(place: View) -> None:
    """An arrival without files is refused with what to do."""
    with pytest.raises(BadInput, match="No photos were chosen"):
        Photos().take(place, {"files": [{"path": "/etc/passwd"}, 7]})
