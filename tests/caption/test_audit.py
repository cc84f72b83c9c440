"""The set as a whole: what would bind to the wrong word, with its photos and a cure."""

from __future__ import annotations

import pytest

from lora_builder.caption.audit import Cure, Kind, Line, audit, misspelt, review_order
from lora_builder.caption.crosscheck import Seen, contradictions
from lora_builder.caption.policy import policy_of
from lora_builder.caption.records import CaptionEntry, CaptionState
from lora_builder.caption.remedies import remedy
from lora_builder.settings import load

POLICY = policy_of(load())
TAGS = policy_of(load(caption_style="tags"))


def line(item: str, text: str, **more: object) -> Line:
    return Line(CaptionEntry(item, text, "qwen"), **more)  # type: ignore[arg-type]


def cured(lines: list[Line], kind: Kind, policy=POLICY) -> dict[str, str]:  # type: ignore[no-untyped-def]
    entries = {entry.entry.item: entry.entry for entry in lines}
    found = [finding for finding in audit(lines, policy, "ohwx", "woman") if finding.kind is kind]
    assert found, kind
    texts: dict[str, str] = {}
    for finding in found:
        texts |= remedy(finding, entries, policy, "ohwx")
    return texts


@pytest.mark.parametrize(
    ("text", "seen", "said"),
    [
        ("ohwx, looking left", Seen(yaw=40), "looking left"),
        ("ohwx, looking to her left", Seen(yaw=-40), "looking to her left"),
        ("ohwx, three-quarter view facing right", Seen(yaw=-30), "view facing right"),
        ("ohwx, a full-body shot", Seen(framing="bust"), "full-body"),
        ("ohwx, a close-up", Seen(framing="full"), "close-up"),
        ("ohwx and a friend, two people", Seen(people=1), "two people"),
        ("ohwx, alone on a beach", Seen(people=3), "alone"),
        ("ohwx, eyes closed", Seen(eyes_open=0.9), "eyes closed"),
        ("ohwx, smiling", Seen(smile=0.01), "smiling"),
        ("ohwx, a serious look", Seen(smile=0.95), "serious"),
        ("ohwx, seen from behind", Seen(framing="bust", yaw=3), "from behind"),
        ("ohwx, facing the camera", Seen(yaw=70), "facing the camera"),
        ("ohwx, in profile", Seen(yaw=4), "in profile"),
        ("ohwx, looking up", Seen(pitch=-30), "looking up"),
        ("ohwx，全身照", Seen(framing="face"), "全身"),
        ("ohwx，看向左侧", Seen(yaw=40), "看向左"),
        ("ohwx，闭着眼睛", Seen(eyes_open=0.9), "闭着眼"),
        ("ohwx，两个人在公园", Seen(people=1), "两个人"),
    ],
)
def test_a_caption_that_cannot_be_right_is_flagged(text: str, seen: Seen, said: str) -> None:
    """What was measured is held against what is said, in both languages."""
    found = contradictions(text, seen)
    assert [entry.said for entry in found] == [said]
    assert found[0].measured and found[0].measured_zh


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ohwx, looking left", Seen(yaw=-40)),
        ("ohwx, looking left", Seen(yaw=10)),
        ("ohwx, light from the left, facing the camera", Seen(yaw=20)),
        ("ohwx, not smiling", Seen(smile=0.0)),
        ("ohwx, a medium close-up", Seen(framing="upper")),
        ("ohwx, a full-body shot", Seen(framing="full")),
        ("ohwx, smiling, eyes closed", Seen()),
        ("ohwx，没有微笑", Seen(smile=0.0)),
        ("ohwx, a couple of trees", Seen(people=0)),
    ],
)
def test_a_caption_that_may_be_right_is_left_alone(text: str, seen: Seen) -> None:
    """Near the limit, unmeasured or negated: nothing to flag."""
    assert contradictions(text, seen) == []


def test_the_trigger_is_put_right() -> None:
    """Missing, misspelt, late or where nobody can be recognised: each is found and one click cures it."""
    lines = [
        line("a", "A woman, bust shot"),
        line("b", "ohxw woman, bust shot"),
        line("c", "A bust shot of ohwx woman"),
        line("d", "ohwx woman seen from behind", recognisable=False),
        line("e", "ohwx woman, bust shot"),
    ]
    assert cured(lines, Kind.TRIGGER_MISSING) == {"a": "ohwx woman, bust shot"}
    assert misspelt("Ohwx woman", "ohwx") == "Ohwx"
    assert cured([line("b", "ohxx woman, bust")], Kind.TRIGGER_MISSPELT) == {"b": "ohwx woman, bust"}
    assert cured(lines, Kind.TRIGGER_NOT_FIRST)["c"].startswith("ohwx ")
    assert cured(lines, Kind.TRIGGER_UNSEEN) == {"d": "A woman seen from behind"}


def test_terms_that_bind_to_the_trigger_are_found_and_taken_out() -> None:
    """A clause in more than 85% of the captions binds; from 60% on it may."""
    lines = [
        line(str(n), "ohwx, woman, white shirt" + (", park" if n < 7 else "") + f", thing {n}")
        for n in range(10)
    ]
    kinds = {finding.term: finding.kind for finding in audit(lines, TAGS, "ohwx", "woman")}
    assert kinds["white shirt"] is Kind.BINDS and kinds["park"] is Kind.MAY_BIND
    assert "thing 1" not in kinds and "woman" not in kinds
    assert cured(lines, Kind.BINDS, TAGS)["0"] == "ohwx, woman, park, thing 0"


def test_one_sentence_for_all_is_found() -> None:
    """Stock text in many captions teaches itself, not the person."""
    lines = [line(str(n), f"ohwx woman poses for the camera. Scene {n}.") for n in range(6)]
    found = [f for f in audit(lines, POLICY, "ohwx", "woman") if f.kind is Kind.SAME_SENTENCE]
    assert [f.term for f in found] == ["poses for the camera"] and len(found[0].items) == 6


def test_leaks_link_to_their_photos_and_are_taken_out() -> None:
    """Identity in a caption is found with the photos that have it; the rest of the caption stays."""
    lines = [line("a", "ohwx woman, bust shot, blue eyes, in a park."), line("b", "ohwx woman, in a park.")]
    assert cured(lines, Kind.LEAK) == {"a": "ohwx woman, bust shot, in a park."}


def test_locked_captions_are_told_of_and_never_changed() -> None:
    """The user's words are only the user's to change."""
    locked = Line(CaptionEntry("a", "a woman with blue eyes", "user", locked=True))
    findings = audit([locked], POLICY, "ohwx", "woman")
    assert {finding.kind for finding in findings} >= {Kind.LEAK, Kind.TRIGGER_MISSING}
    assert all(remedy(f, {"a": locked.entry}, POLICY, "ohwx") == {} for f in findings)


def test_failed_and_contradicted_come_first_in_the_review() -> None:
    """The worst is looked at first."""
    failed = Line(CaptionEntry("f", "", "qwen", CaptionState.FAILED, "The model refused."))
    lines = [line("a", "ohwx, bust shot"), line("b", "ohwx, full body", seen=Seen("face")), failed]
    findings = audit(lines, TAGS, "ohwx")
    assert [finding.kind for finding in findings][:2] == [Kind.FAILED, Kind.CONTRADICTION]
    assert findings[0].cure is Cure.REWRITE
    assert review_order(lines, findings) == ["f", "b", "a"]


def test_length_and_language_are_held_against_the_encoder() -> None:
    """Too long, too short, or in a language that the base model cannot read."""
    long = "ohwx woman, " + ", ".join(f"clause number {n} about the scenery" for n in range(20))
    kinds = {f.kind for f in audit([line("a", long), line("b", "ohwx")], POLICY, "ohwx")}
    assert {Kind.TOO_LONG, Kind.TOO_SHORT} <= kinds
    chinese = [line("a", "ohwx 女性，半身照，正面，微笑，穿着白色衬衫，在公园里，自然光。")]
    assert Kind.UNREADABLE_LANGUAGE in {f.kind for f in audit(chinese, POLICY, "ohwx")}
    qwen = policy_of(load(caption_policy="qwen_image", caption_language="zh"))
    assert Kind.UNREADABLE_LANGUAGE not in {f.kind for f in audit(chinese, qwen, "ohwx")}
