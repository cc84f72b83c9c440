"""What the page says, without a page."""

from __future__ import annotations

import math
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.jobs import Snapshot, StageProgress, State
from lora_builder.records import Decision, Reason, Stage
from lora_builder.settings import Settings
from lora_builder.ui import presenters, progress, verdicts
from lora_builder.ui.texts import LANGUAGES, TEXTS, preferred, tr


def decision(source: str = "a.jpg", reason: Reason = Reason.KEPT, **more: object) -> Decision:
    values: dict[str, object] = {
        "source": source,
        "sha256": "ab" * 32,
        "width": 1000,
        "height": 2000,
        "verdict": "kept" if reason is Reason.KEPT else "dropped",
        "reason": reason.value,
        "detail": "Why.",
        "because_of": None,
        "scores": {},
        "faces": 1,
        "subject_face": None,
        "crop": None,
        "output": None,
        "caption": None,
    }
    return Decision(**(values | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_speaks_both_languages(language: str) -> None:
    """No text is empty, and both languages fill in the same figures."""
    for key, pair in TEXTS.items():
        assert all(pair), key
        fields = [sorted(f for _, f, _, _ in string.Formatter().parse(text) if f) for text in pair]
        assert fields[0] == fields[1], key
    assert re.search("[\u4e00-\u9fff]", tr("nav_all", language)) or language == "en"


def test_the_browsers_language_is_taken() -> None:
    """A Chinese browser reads Chinese, every other one English."""
    assert preferred("zh-TW,zh;q=0.9,en;q=0.8") == "zh"
    assert preferred("de-DE,zh;q=0.5") == preferred(None) == preferred("") == "en"


@given(st.text())
def test_hostile_text_stays_text(value: str) -> None:
    """Whatever a file is called, it makes no tag, leaves no attribute and starts no template."""
    shown = presenters.text(value)
    assert not set(shown) & set("<>\"'${}`\n")


def test_the_crop_lies_where_it_was_cut() -> None:
    """The lit part covers the crop's share of the photo."""
    assert presenters.percent(decision(crop=(100, 500, 800, 1000))) == (
        "left:10.00%;top:25.00%;width:80.00%;height:50.00%"
    )
    assert presenters.percent(decision()) == ""


def test_chinese_readers_read_why_in_chinese() -> None:
    """The sentence is made again from the figures; what a decoder said stays as it is."""
    other = decision("b", Reason.OTHER_PERSON, scores={"subject_similarity": 0.31})
    assert "0.31" in presenters.sentence(other, "zh")
    assert re.search("[\u4e00-\u9fff]", presenters.sentence(other, "zh"))
    assert presenters.sentence(decision("b", Reason.UNREADABLE), "zh") == "Why."


def test_progress_shows_counts_pace_and_time_left() -> None:
    """A running job has a bar a stage, with the current one's pace."""
    stages = (StageProgress(Stage.INGEST, 40, 40), StageProgress(Stage.MEASURE, 10, 40))
    snapshot = Snapshot("j", "p", 3, State.RUNNING, 0, stages, "x/a.jpg", 2.5, 12.0)
    assert "2.5 photos a second · about 12 s left" in progress.status(snapshot, "en", False)
    bars = progress.stages(snapshot, "en")
    assert bars[1]["figure"] == "10 / 40"
    assert [round(bar["share"]) for bar in bars] == [100, 25, 0, 0, 0, 0, 0]
    assert [bar["mark"] for bar in bars][:3] == ["whole", "active", "waiting"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_end_has_its_words(language: str) -> None:
    """However a run ends, the page says so, never with a traceback."""
    for state in State:
        assert progress.status(Snapshot("j", "p", state=state), language, False)
    waits = Snapshot("j", "p", state=State.QUEUED, error="There is nothing in s3://a.")
    assert progress.status(waits, "en", False) == "There is nothing in s3://a. It is tried again by itself."
    bug = progress.status(Snapshot("j", "p", state=State.FAILED), language, False)
    assert bug == tr("progress_bug", language)
    told = Snapshot("j", "p", state=State.FAILED, error="Disk full.", remedy="Free some.")
    assert progress.status(told, language, False) == "Disk full."


def test_only_what_the_page_may_change_is_taken(settings: Settings) -> None:
    """A browser can send anything: other settings, wrong types and values out of range do no harm."""
    sent = {"phash_threshold": 99, "data_dir": "/", "min_brightness": "x", "max_brightness": math.nan}
    assert verdicts.tuned(sent, settings) == {"phash_threshold": 12}
    assert verdicts.tuned({"several_people": "keep", "back_views": "burn"}, settings) == {
        "several_people": "keep"
    }
    assert verdicts.tuned("nonsense", settings) == verdicts.tuned(None, settings) == {}


def test_kinds_of_repeats_are_ticked(settings: Settings) -> None:
    """Unknown kinds are left out and the known ones keep their order; nothing ticked is an answer too."""
    sent = {"duplicates": ["take", "copy", "moon", 3, None]}
    assert verdicts.tuned(sent, settings) == {"duplicates": ("copy", "take")}
    assert verdicts.tuned({"duplicates": []}, settings) == {"duplicates": ()}
    assert verdicts.tuned({"duplicates": "copy"}, settings) == {}
    assert verdicts.tuned({"about": "anything", "min_side": 9}, settings) == {
        "about": "anything",
        "min_side": 64,
    }


def test_every_setting_that_decides_alone_can_be_changed(settings: Settings) -> None:
    """Whoever uses the app reaches what the command line reaches."""
    rows = [row["name"] for group in verdicts.controls(settings, "en") for row in group["rows"]]
    assert len(rows) == len(set(rows))
    assert {*verdicts.CHOICES, "duplicates", "min_side", "target_count", "quota_back"} <= set(rows)


def test_quotas_are_one_setting(settings: Settings) -> None:
    """A quota's slider changes its framing and leaves the others."""
    two = settings.model_copy(update={"quotas": ("face=40", "body=25")})
    assert verdicts.tuned({"quota_face": 0, "quota_bust": 30}, two) == {"quotas": ("bust=30", "body=25")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slider_has_its_meaning_and_its_place(settings: Settings, language: str) -> None:
    """Each control says in words what it does, and its value lies within its ends."""
    for group in verdicts.controls(settings, language):
        assert group["title"]
        for control in group["rows"]:
            assert control["label"] and control["info"]
            if "options" in control:
                assert control["value"] in [value for value, _ in control["options"]]
            elif "checks" in control:
                assert set(control["value"]) <= {value for value, _ in control["checks"]}
            else:
                assert control["min"] <= control["value"] <= control["max"]


def test_a_page_gets_only_what_changed() -> None:
    """The first answer holds all rows, the next only the difference to the page's own edition."""
    editions = verdicts.Editions()
    first = editions.since(None, [(1, 0, -1, -1, 0), (0, 2, 0, -1, 0)])
    assert [row[0] for row in first["changed"]] == [0, 1]
    second = editions.since(first["edition"], [(1, 0, -1, -1, 0), (1, 0, -1, -1, 1)])
    assert second["changed"] == [[1, 1, 0, -1, -1, 1]]
    assert len(editions.since("forgotten", [(1, 0, -1, -1, 0)])["changed"]) == 1
