"""What the page shows, without a page."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.jobs import Snapshot, StageProgress, State
from lora_builder.records import Decision, Reason, Stage
from lora_builder.ui import presenters
from lora_builder.ui.texts import LANGUAGES, TEXTS, preferred, tr

HOSTILE = "</p><img src=x onerror=alert(1)>\"'${alert(2)}{{value}}`.png"


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


def picture(sha256: str) -> str:
    return "data:image/jpeg;base64,AAAA"


def nothing(sha256: str) -> str:
    return ""


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    found: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(html)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_speaks_both_languages(language: str) -> None:
    """No text is empty, and both languages fill in the same figures."""
    for key, pair in TEXTS.items():
        assert all(pair), key
        fields = [sorted(f for _, f, _, _ in string.Formatter().parse(text) if f) for text in pair]
        assert fields[0] == fields[1], key
    assert re.search("[\u4e00-\u9fff]", tr("build", language)) or language == "en"


def test_the_browsers_language_is_taken() -> None:
    """A Chinese browser reads Chinese, every other one English."""
    assert preferred("zh-TW,zh;q=0.9,en;q=0.8") == "zh"
    assert preferred("de-DE,zh;q=0.5") == preferred(None) == preferred("") == "en"


@given(st.text())
def test_hostile_text_stays_text(value: str) -> None:
    """Whatever a file is called, it makes no tag, leaves no attribute and starts no template."""
    shown = presenters.text(value)
    assert not set(shown) & set("<>\"'${}`\n")


def test_a_card_of_a_hostile_file_holds_only_our_tags() -> None:
    """File name, sentence and caption of a photo cannot bring in markup."""
    bad = decision(HOSTILE, Reason.SAME_SHOT, detail=HOSTILE, caption=HOSTILE, because_of="kept" + HOSTILE)
    good = decision("kept" + HOSTILE, caption=HOSTILE, crop=(0, 0, 500, 500))
    for language in LANGUAGES:
        for group in ("kept", "dropped"):
            html = presenters.grid([bad, good], group, 0, language, picture)
            found = tags(html)
            assert {tag for tag, _ in found} <= {
                "ul",
                "li",
                "div",
                "p",
                "span",
                "figure",
                "figcaption",
                "img",
            }
            assert all(not name.startswith("on") for _, attributes in found for name in attributes)
            assert {attributes["src"] for tag, attributes in found if tag == "img"} == {picture("")}
            assert "${" not in html
            assert "{{" not in html


def test_groups_count_every_photo_once() -> None:
    """Kept and left out add up to all photos; each reason for leaving out has its own group."""
    decisions = [
        decision("1"),
        decision("2", Reason.BLURRY),
        decision("3", Reason.BLURRY),
        decision("4", Reason.UNREADABLE, sha256="", width=None, height=None),
        decision("5", Reason.BY_USER, verdict="kept"),
        decision("6", Reason.BY_USER),
    ]
    choices = {value: label for label, value in presenters.filters(decisions, "en")}
    assert choices["kept"] == "Kept (2)"
    assert choices["dropped"] == "Left out (4)"
    assert choices["blurry"] == "Blurry (2)"
    sizes = {group: len(presenters.members(decisions, group)) for group in choices}
    assert sizes == {"kept": 2, "dropped": 4, "blurry": 2, "unreadable": 1, "by_user": 1}


def test_where_nothing_is_kept_the_reasons_come_first() -> None:
    """An empty harvest opens on what was left out, and says what may help."""
    decisions = [decision("1", Reason.TOO_SMALL)]
    assert presenters.chosen_group(decisions, None) == "dropped"
    assert presenters.chosen_group([*decisions, decision("2")], "gone") == "kept"
    assert 'role="alert"' in presenters.summary(decisions, "en", None)


def test_photos_lost_for_their_size_can_be_won() -> None:
    """Where many photos are too small, the page names the setting that keeps them."""
    decisions = [decision("1"), *(decision(f"s{n}", Reason.TOO_SMALL) for n in range(3))]
    assert "3 photos are too small" in presenters.summary(decisions, "en", None)
    assert "too small" not in presenters.summary([decision(str(n)) for n in range(4)], "en", None)


def test_a_duplicate_stands_beside_the_kept_photo() -> None:
    """The card of a duplicate shows both pictures and says which is kept."""
    decisions = [decision("a"), decision("b", Reason.NEAR_DUPLICATE, because_of="a")]
    html = presenters.grid(decisions, "near_duplicate", 0, "en", picture)
    assert [tag for tag, _ in tags(html)].count("img") == 2
    assert "Kept instead" in html


def test_the_crop_lies_where_it_was_cut() -> None:
    """The overlay covers the crop's share of the photo."""
    html = presenters.grid([decision(crop=(100, 500, 800, 1000))], "kept", 0, "en", picture)
    assert "left:10.00%;top:25.00%;width:80.00%;height:50.00%" in html


def test_a_photo_without_preview_still_has_its_card() -> None:
    """An unreadable file shows no broken picture but its name and why."""
    html = presenters.grid([decision("x.jpg", Reason.UNREADABLE)], "unreadable", 0, "en", nothing)
    assert "no picture" in html
    assert "x.jpg" in html
    assert "<img" not in html


def test_large_sets_come_in_pages() -> None:
    """No page holds more than its number of cards, and none is lost."""
    decisions = [decision(f"{n:03}.jpg") for n in range(130)]
    pages = [presenters.grid(decisions, "kept", n, "en", nothing) for n in range(3)]
    assert presenters.last_page(130) == 2
    assert [html.count("<li") for html in pages] == [60, 60, 10]
    assert presenters.page_label(130, 2, "en") == "121–130 of 130"
    assert presenters.page_label(60, 0, "en") == ""


def test_chinese_readers_read_why_in_chinese() -> None:
    """The sentence is made again from the figures; what a decoder said stays as it is."""
    other = decision("b", Reason.OTHER_PERSON, scores={"subject_similarity": 0.31})
    assert "0.31" in presenters.sentence(other, "zh")
    assert re.search("[\u4e00-\u9fff]", presenters.sentence(other, "zh"))
    assert presenters.sentence(decision("b", Reason.UNREADABLE), "zh") == "Why."


def test_progress_shows_counts_pace_and_time_left() -> None:
    """A running job has a bar a stage, with the current one's pace."""
    stages = (StageProgress(Stage.INGEST, 40, 40), StageProgress(Stage.MEASURE, 10, 40))
    snapshot = Snapshot("j", "p", 3, State.RUNNING, 0, stages, f"x/{HOSTILE}", 2.5, 12.0)
    html = presenters.progress(snapshot, "en", picture(""))
    assert "2.5 photos a second · about 12 s left" in html
    assert "10 / 40" in html
    values = [a["aria-valuenow"] for _, a in tags(html) if a.get("role") == "progressbar"]
    assert values == ["100", "25", "0", "0", "0", "0", "0"]
    assert "onerror=alert(1)>" not in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_end_has_its_words(language: str) -> None:
    """However a run ends, the page says so, never with a traceback."""
    for state in State:
        assert presenters.progress(Snapshot("j", "p", state=state), language).strip()
    bug = presenters.progress(Snapshot("j", "p", state=State.FAILED), language)
    assert presenters.text(tr("bug", language)) in bug
    told = Snapshot("j", "p", state=State.FAILED, error="Disk full.", remedy="Free some.")
    assert "Disk full." in presenters.progress(told, language)
    assert "Free some." in presenters.progress(told, language)
