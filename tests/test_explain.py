"""Every verdict can be said in a sentence, and the sentence says only what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.explain import detail, title
from lora_builder.records import Photo, Reason, Source, Verdict

NAMES = (
    "face_similarity", "face_ssim", "picture_ssim", "hash_distance", "pose_similarity", "seconds_apart",
    "subject_similarity", "face_sharpness", "face_brightness", "brightness", "width", "height", "keep",
)  # fmt: skip


def verdict(reason: Reason, because_of: str | None = None, note: str = "", **scores: float) -> Verdict:
    return Verdict(Photo(Source("a.jpg", Path("a.jpg")), "0" * 64, 1), reason, because_of, None, scores, note)


def test_same_shot_names_the_kept_photo_and_the_figures() -> None:
    """A photo dropped for another take says which one, and how alike they are."""
    text = detail(verdict(Reason.SAME_SHOT, "IMG_2.jpg", face_similarity=0.934, face_ssim=0.91))
    assert text == (
        "Shows the same moment as IMG_2.jpg (faces 0.93 alike, face pictures 0.91 alike); that one is kept."
    )


@pytest.mark.parametrize(
    ("given_verdict", "words"),
    [
        (verdict(Reason.BY_USER, keep=1), "Kept by you."),
        (verdict(Reason.BY_USER, keep=0), "Dropped by you."),
        (verdict(Reason.UNREADABLE, note="The JPEG is cut short."), "The JPEG is cut short."),
        (verdict(Reason.UNREADABLE), "The file cannot be read."),
        (
            verdict(Reason.TOO_SMALL, width=640, height=480),
            "Too small for a training picture (photo 640 x 480 pixels).",
        ),
        (
            verdict(Reason.BADLY_EXPOSED, face_brightness=0.03, brightness=0.5),
            "The face is badly lit (brightness 0.03 of 1).",
        ),
        (verdict(Reason.KEPT, subject_similarity=0.9), "Kept (face 0.90 like the person)."),
        (
            verdict(Reason.NEAR_DUPLICATE, "b.jpg", hash_distance=2),
            "The same picture as b.jpg (fingerprints 2 of 64 bits apart); that one is kept.",
        ),
    ],
)
def test_sentences(given_verdict: Verdict, words: str) -> None:
    """People read these very words."""
    assert detail(given_verdict) == words


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_label_and_a_sentence_without_figures(reason: Reason, language: str) -> None:
    """No reason is left without words, even when no figure is known."""
    assert title(reason, language)
    assert title(reason.value, language) == title(reason, language)
    text = detail(verdict(reason), language)
    assert text.endswith("。" if language == "zh" else ".")
    assert "{" not in text


def test_chinese_is_chinese() -> None:
    """The Chinese sentence holds no English words beside the file's name."""
    text = detail(verdict(Reason.SAME_SHOT, "1.2", face_similarity=0.9, pose_similarity=0.8), "zh-CN")
    assert not re.search("[A-Za-z]", text)


@given(
    st.sampled_from(Reason),
    st.none() | st.text(),
    st.text(),
    st.dictionaries(st.sampled_from(NAMES), st.floats(allow_nan=True)),
    st.sampled_from(["en", "zh"]),
)
def test_any_verdict_is_one_printable_line(
    reason: Reason, other: str | None, note: str, scores: dict[str, float], language: str
) -> None:
    """Hostile file names, absent and infinite figures never break the line."""
    text = detail(verdict(reason, other, note, **scores), language)
    assert text
    assert text.isprintable()
    assert "nan" not in re.sub(re.escape(other or ""), "", text) or "nan" in note


def test_a_kept_photo_says_what_it_adds_and_what_is_wrong_with_it() -> None:
    """A pick gives its reason; a defect that does not drop it is named, in both languages."""
    chosen = verdict(Reason.KEPT, pick=3, adds=1, defect_blink=0.1)
    assert "Chosen as number 3: it adds another framing. The eyes are closed" in detail(chosen)
    assert "第 3 张入选：增加景别。闭眼" in detail(chosen, "zh")


def test_an_undecided_photo_asks_instead_of_guessing() -> None:
    """Who may be the person is not called somebody else."""
    text = detail(verdict(Reason.OTHER_PERSON, undecided=1, subject_similarity=0.5))
    assert text.startswith("Undecided") and "0.50" in text and "somebody else" not in text


def test_a_passed_over_photo_names_the_one_in_its_stead() -> None:
    """More than asked for: which kept photo shows the same is said."""
    assert "b.jpg shows much the same" in detail(verdict(Reason.OVER_TARGET, "b.jpg"))
