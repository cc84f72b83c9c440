"""The caption table: what its functions answer and save, and a hand at the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_builder.caption.composer import AUTHOR as COMPOSER
from lora_builder.caption.records import USER, CaptionEntry, CaptionState
from lora_builder.errors import BadInput
from lora_builder.records import Box, ExtraCrop
from lora_builder.settings import Settings, load
from lora_builder.ui.editors import captions
from lora_builder.ui.steps import View
from lora_builder.ui.steps.caption import Caption
from tests.ui.conftest import HOSTILE, Visitor
from tests.ui.editor_pages import leave, open_desk, save_project, view_of, visit

FACE = Box(150, 100, 120, 150)
SAID = [
    "ohwx woman, red coat, smiling.",
    "ohwx woman, red coat, in profile.",
    f"ohwx woman, blue coat. {HOSTILE}",
]


def pictures(folder: Path) -> list[Path]:
    """Three small pictures, one under a hostile name."""
    paths = [folder / name for name in ("b.png", "c.png", HOSTILE)]
    for number, path in enumerate(paths):
        Image.new("RGB", (600, 800), (60 * number, 120, 90)).save(path)
    return paths


@pytest.fixture
def step() -> Caption:
    return Caption()


@pytest.fixture
def view(settings: Settings, tmp_path: Path) -> Iterator[View]:
    with open_desk(load(data_dir=settings.data_dir, trigger="ohwx", class_word="woman")) as desk:
        yield view_of(desk, save_project(desk, tmp_path, pictures(tmp_path), [FACE], SAID), "caption")


def keys(view: View) -> list[str]:
    return list(captions.entries(view))


def texts(view: View) -> list[str]:
    return [entry.text for entry in captions.entries(view).values()]


def test_rows_are_the_kept_photos_and_their_further_crops(view: View, step: Caption) -> None:
    """Each training image has a row; a crop that is no longer there has none."""
    item = keys(view)[0]
    store = view.desk.store
    for name in ("face", "gone"):
        store.captions.record(view.theirs.id, CaptionEntry(f"{item}/{name}", f"a {name}", COMPOSER))
    store.finishing.set_extra_crops(view.theirs.id, item, [ExtraCrop("face", Box(0, 0, 99, 99))])
    answer = step.open_captions(view, {})
    json.dumps(answer, allow_nan=False)
    assert [row["item"] for row in answer["rows"]] == [item, f"{item}/face", *keys(view)[2:]]
    assert HOSTILE in {row["name"] for row in answer["rows"]}
    assert answer["rows"][1]["cut"] == [0, 0, 99 / 600, 99 / 800] and answer["rows"][1]["shape"] == 1


def test_a_typed_caption_is_kept_with_its_past(view: View, step: Caption) -> None:
    """The user's words are saved as one line, the earlier text can be brought back, and that undone."""
    item = keys(view)[0]
    saved = step.save_captions(view, {"texts": {item: "  ohwx\n woman, green coat "}})
    assert saved["rows"][0]["text"] == "ohwx woman, green coat" and saved["rows"][0]["author"] == USER
    versions = step.history_of(view, {"item": item})["versions"]
    assert [version["text"] for version in versions] == ["ohwx woman, green coat", SAID[2]]
    back = step.revert_to(view, {"item": item, "id": versions[1]["id"]})
    assert back["rows"][0]["text"] == SAID[2]
    assert step.undo_change(view, {"batch": back["batch"]})["rows"][0]["text"] == "ohwx woman, green coat"
    assert step.undo_change(view, {"batch": saved["batch"]})["rows"] == [], "it was changed again since"
    assert step.save_captions(view, {"texts": {item: "   "}})["batch"] == "", "an empty caption is none"


def test_many_are_changed_as_they_were_shown_and_back(view: View, step: Caption) -> None:
    """A preview counts what is locked; doing it changes just that; undo brings all back."""
    before = texts(view)
    step.lock_captions(view, {"items": [keys(view)[2]], "locked": True})
    sent = {
        "items": keys(view),
        "operation": {"kind": "replace", "find": "red (coat)", "put": r"old \1", "pattern": True},
    }
    seen = step.preview_change(view, sent)
    assert (seen["count"], seen["locked"]) == (1, 1)
    assert texts(view) == before
    done = step.apply_change(view, sent)
    assert [row["text"] for row in done["rows"]] == ["ohwx woman, old coat, smiling."]
    assert texts(view)[2] == before[2]
    step.undo_change(view, {"batch": done["batch"]})
    assert texts(view) == before


@pytest.mark.parametrize(
    "operation",
    [
        None,
        {"kind": "drop table"},
        {"kind": "replace", "find": "(", "put": "", "pattern": True},
        {"kind": "replace", "find": 7, "put": ""},
        {"kind": "prepend"},
        {"kind": "append", "words": "x" * 5000},
    ],
)
def test_nonsense_from_a_browser_is_a_sentence(view: View, step: Caption, operation: Any) -> None:
    """Bad patterns, unknown operations, other people's items: refused, and nothing is changed."""
    before = texts(view)
    for name in ("preview_change", "apply_change"):
        with pytest.raises(BadInput):
            getattr(step, name)(view, {"items": keys(view), "operation": operation})
    for texts_sent in ({"not mine": "x"}, {keys(view)[0]: 7}, "x"):
        with pytest.raises(BadInput):
            step.save_captions(view, {"texts": texts_sent})
    with pytest.raises(BadInput):
        step.history_of(view, {"item": "not mine"})
    with pytest.raises(BadInput):
        step.apply_cure(view, {"kind": "nonsense", "cure": "none", "items": [], "term": ""})
    assert texts(view) == before


def test_a_finding_is_cured_by_one_click_and_back(view: View, step: Caption) -> None:
    """A missing trigger is found, its photo named, put in by one click, and taken out by undo."""
    item = keys(view)[1]
    step.save_captions(view, {"texts": {item: "a woman in a red coat, smiling at somebody in the garden"}})
    audit = step.audit_captions(view, {})
    json.dumps(audit, allow_nan=False)
    finding = next(one for one in audit["findings"] if one["kind"] == "trigger_missing")
    assert finding["items"] == [item]
    cured = step.apply_cure(view, finding)
    assert cured["rows"][0]["text"].startswith("ohwx woman in a red coat")
    step.undo_change(view, {"batch": cured["batch"]})
    assert texts(view)[1].startswith("a woman")
    terms = {term["term"]: term["binding"] for term in audit["terms"]}
    assert terms["coat"] == "binds" and terms["red"] == "may_bind"
    chinese = step.audit_captions(view_of(view.desk, view.theirs, "caption", "zh"), {})
    assert all(re.search("[\u4e00-\u9fff]", one["text"]) for one in chinese["findings"])


def test_files_go_out_and_come_back(view: View, step: Caption) -> None:
    """CSV and .txt hold every caption; edited elsewhere they come back as a preview, locked ones apart."""
    step.lock_captions(view, {"items": [keys(view)[1]], "locked": True})
    csv = base64.b64decode(step.export_captions(view, {"kind": "csv"})["data"]).decode()
    assert all(said in csv.replace('""', '"') for said in SAID)
    edited = csv.replace("red coat", "white coat").replace("blue coat", "white coat")
    seen = step.import_captions(
        view, {"files": [{"name": "c.csv", "text": edited}, {"name": "who.txt", "text": "x"}]}
    )
    assert (seen["count"], seen["locked"], seen["unknown"]) == (2, 1, ["who.txt"])
    step.save_captions(view, {"texts": seen["texts"]})
    assert sum("white coat" in text for text in texts(view)) == 2
    assert step.export_captions(view, {"kind": "zip"})["name"] == "captions.zip"
    for files in (None, [7], [{"name": "a.csv"}], [{"name": "a.exe", "text": ""}]):
        with pytest.raises(BadInput):
            step.import_captions(view, {"files": files})


def test_writing_anew_leaves_the_locked_alone(view: View) -> None:
    """Captions given up are written by the next run, those that are locked are not, and history stays."""
    one, two, _ = keys(view)
    captions.save(view, {one: "mine", two: "mine too"})
    captions.lock(view, [two], True)
    assert captions.forget(view, [one, two, "not mine"]) == [one]
    known = view.desk.store.captions.all(view.theirs.id)
    assert one not in known and known[two].text == "mine too"
    assert view.desk.store.captions.history(view.theirs.id, one)[0].entry.text == "mine"


def test_a_failed_caption_says_why(view: View, step: Caption) -> None:
    """Where no caption could be had, the row says the reason, and the finding comes first."""
    item = keys(view)[0]
    failed = CaptionEntry(item, "", "", CaptionState.FAILED, "The server refused.")
    view.desk.store.captions.record(view.theirs.id, failed)
    row = next(row for row in step.open_captions(view, {})["rows"] if row["item"] == item)
    assert (row["text"], row["reason"]) == ("", "The server refused.")
    assert step.audit_captions(view, {})["findings"][0]["kind"] == "failed"


@pytest.mark.browser
def test_a_hand_at_the_table(app_data: Path, visitor: Visitor, tmp_path: Path) -> None:
    """Type, Enter, undo, a lost network, find and replace, lock, history, reload: all is saved."""
    page = visitor.page
    with open_desk(load(data_dir=app_data)) as desk:
        project = save_project(desk, tmp_path, pictures(tmp_path), [FACE], SAID)
        view = view_of(desk, project, "caption")
        visit(visitor, project, "caption")
        field = page.locator(".ldb-captions textarea")
        field.nth(2).wait_for()
        assert [field.nth(n).input_value() for n in range(3)] == texts(view)

        field.nth(0).fill("ohwx woman, hat")
        field.nth(0).press("Enter")
        assert field.nth(1).evaluate("node => node === document.activeElement")
        saved(page)
        assert texts(view)[0] == "ohwx woman, hat"
        page.get_by_role("button", name="Undo").click()
        page.wait_for_function(
            "text => document.querySelector('.ldb-captions textarea').value === text", arg=SAID[2]
        )
        assert texts(view)[0] == SAID[2]

        page.route("**/component_server/**", lambda route: route.abort())
        field.nth(1).fill("ohwx woman, red coat, written on a train")
        field.nth(1).press("Enter")
        page.get_by_text("Not saved yet, trying again").wait_for()
        page.unroute("**/component_server/**")
        saved(page)
        assert texts(view)[1] == field.nth(1).input_value() == "ohwx woman, red coat, written on a train"
        visitor.faults.clear()  # the lost requests

        page.get_by_text("Edit many").click()
        page.get_by_label("Find", exact=True).fill("(red|blue) coat")
        page.get_by_label("Replace with").fill(r"\1 jacket")
        page.get_by_label("Pattern (RE2)").check()
        page.get_by_role("button", name="Preview").click()
        page.locator(".ldb-captions .sheet ins").nth(2).wait_for()
        assert "jacket" not in " ".join(texts(view))
        page.get_by_role("button", name="Change 3").click()
        page.wait_for_function(
            "() => document.querySelector('.ldb-captions textarea').value.includes('jacket')"
        )
        assert all("jacket" in text for text in texts(view))

        page.get_by_role("button", name=re.compile("^Lock: nothing changes this caption: b.png")).click()
        page.get_by_role("button", name="Unlock: b.png").wait_for()
        assert desk.store.captions.all(project.id)[keys(view)[1]].locked
        page.get_by_role("button", name="Earlier captions of c.png").click()
        page.get_by_role("button", name="Bring back").first.click()
        page.wait_for_function(
            "() => document.querySelectorAll('.ldb-captions textarea')[2].value.includes('coat')"
        )

        page.get_by_label("Search captions and names").fill("jacket")
        page.get_by_text("2 of 3 shown").wait_for()
        page.locator(".ldb-captions .terms li.binds").first.wait_for()
        with page.expect_download() as download:
            page.get_by_text("Files", exact=True).click()
            page.get_by_role("button", name="Save as CSV").click()
        assert download.value.suggested_filename == "captions.csv"
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        saved(page)
        leave(visitor, page.reload)
        field.nth(2).wait_for()
        assert [field.nth(n).input_value() for n in range(3)] == texts(view)


def saved(page: Any) -> None:
    page.wait_for_timeout(200)
    page.locator(".ldb-captions .saved[data-state=saved]").wait_for()
