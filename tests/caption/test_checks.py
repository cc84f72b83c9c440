"""Refusals, thoughts, echoes and garbage are never captions; good answers are never thrown away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora_builder.caption.checks import Fault, faults_of_caption, judge
from lora_builder.caption.policy import policy_of
from lora_builder.caption.prompts import STANDARD, fill, variables
from lora_builder.caption.structured import Fields
from lora_builder.settings import load

ANSWERS = [
    json.loads(line)
    for line in (Path(__file__).parent / "answers.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("part", sorted({answer["part"] for answer in ANSWERS}))
def test_bad_answers_are_caught_and_good_ones_pass(part: str) -> None:
    """Of the written-down answers at least 99% of the bad are caught, at most 1% of the good stopped."""
    rows = [answer for answer in ANSWERS if answer["part"] == part]
    caught = {True: 0, False: 0}
    for answer in rows:
        caught[answer["good"]] += not judge(answer["text"], answer["finish"], answer["language"]).good
    good = sum(answer["good"] for answer in rows)
    assert caught[False] >= 0.99 * (len(rows) - good)
    assert caught[True] <= 0.01 * good


def test_the_list_is_long_enough_to_mean_something() -> None:
    """At least 200 answers, in both languages, with every kind of fault."""
    assert len(ANSWERS) >= 200
    assert {answer["language"] for answer in ANSWERS} == {"en", "zh"}
    assert len({(answer["text"], answer["finish"]) for answer in ANSWERS}) == len(ANSWERS)


@pytest.mark.parametrize(
    ("text", "finish", "fault"),
    [
        ("", "stop", Fault.EMPTY),
        ("I'm sorry, I can't help with that.", "stop", Fault.REFUSAL),
        ("A person on a bench in the", "length", Fault.CUT_OFF),
        ("<think>a bench, I think</think>", "stop", Fault.THINKING),
        ("A tall woman", "content_filter", Fault.REFUSAL),
        ("全身照，站在海边，穿着白色连衣裙，阳光明媚。", "stop", Fault.LANGUAGE),
        ("# Caption\nA person on a bench in a park.", "stop", Fault.MARKDOWN),
        ("A person on a bench.\nA dog is beside them.", "stop", Fault.SEVERAL_LINES),
        ("a red coat, a red coat, a red coat, a red coat, a park", "stop", Fault.REPEATED),
        ("bench", "stop", Fault.TOO_SHORT),
        ("word " * 30 + "and more of it in the same way without an end " * 9, "stop", Fault.REPEATED),
    ],
)
def test_faults_have_names(text: str, finish: str, fault: Fault) -> None:
    """The user reads why an answer was not taken."""
    judgement = judge(text, finish, "en")
    assert [found.fault for found in judgement.faults] == [fault]
    assert str(judgement.faults[0]).endswith(".")


def test_an_echo_of_our_own_prompt_is_caught() -> None:
    """Whatever the template says, its own words are no caption."""
    policy = policy_of(load())
    prompt = fill(STANDARD, variables(policy, "ohwx", "woman"))
    assert judge(prompt.system, "stop", "en", prompt.system + prompt.user).faults[0].fault is Fault.ECHO


def test_dress_is_taken_off() -> None:
    """Fences, quotes, prefaces and closed thoughts do not make a good answer bad."""
    plain = "a bust shot, facing the camera, in a red coat, in a park"
    for text in (f'"{plain}"', f"Caption: {plain}", f"<think>well</think>\n{plain}", f"**{plain}**"):
        assert judge(text, "stop", "en").text == plain


def test_one_answer_in_both_languages() -> None:
    """With both languages asked for, an answer in one alone is not enough."""
    fields = {"framing": "bust shot", "place": "in a park"}
    chinese = {"framing": "半身照", "place": "公园里"}
    both = judge(json.dumps({"en": fields, "zh": chinese}, ensure_ascii=False), "stop", "both")
    assert isinstance(both.fields, Fields) and both.fields.of("zh") == chinese
    assert not judge(json.dumps({"en": fields}), "stop", "both").good
    assert not judge("a bust shot, facing the camera, in a red coat", "stop", "both").good


@pytest.mark.parametrize("described", [(), ("hair", "makeup", "beard", "glasses")])
def test_what_the_trigger_should_learn_is_found_in_the_caption(described: tuple[Any, ...]) -> None:
    """Face, eyes, skin, age and ethnicity always count as leaks; hair and the like by setting."""
    policy = policy_of(load(describe=described))
    always = (
        "a young woman with blue eyes",
        "an asian man on a bench",
        "high cheekbones in soft light",
        "pale skin, red coat",
        "in her thirties",
        "白皙的皮肤",
        "年轻女子",
    )
    for text in always:
        assert Fault.LEAK in {found.fault for found in faults_of_caption(text, policy)}, text
    for text in ("long brown hair", "red lipstick", "a short beard", "wearing sunglasses", "黑色长发"):
        assert bool(faults_of_caption(text, policy)) is not described, text


@pytest.mark.parametrize(
    "text",
    [
        "eyes closed, a close-up of the face, facing the camera",
        "an old wall, two wine glasses on the table, a hairdresser's shop",
        "in a japanese garden, white coat, black shoes",
        "lips pressed together, raised eyebrows, making eye contact",
        "闭着眼睛，面部特写，正对镜头",
        "in front of a young tree, light skirt",
    ],
)
def test_what_only_sounds_like_identity_is_left_alone(text: str) -> None:
    """Expression, framing, clothes and place are what captions are for."""
    assert faults_of_caption(text, policy_of(load())) == []


def test_the_users_own_class_word_is_no_leak() -> None:
    """Who calls the class `young woman` may."""
    policy = policy_of(load())
    assert faults_of_caption("ohwx young woman, bust shot", policy, ("ohwx", "young woman")) == []


def test_a_caption_longer_than_clip_reads_is_too_long() -> None:
    """SDXL's encoder reads 75 tokens; what comes after trains nothing."""
    text = "ohwx woman, " + ", ".join(f"clause number {n} about the scenery" for n in range(20))
    found = faults_of_caption(text, policy_of(load(base_model="sdxl")))
    assert [entry.fault for entry in found] == [Fault.TOO_LONG]
    assert faults_of_caption(text, policy_of(load(base_model="flux"))) == []
