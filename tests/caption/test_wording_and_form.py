"""Prompts, fields and policies: what goes out, and how what comes back is put into words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.caption.policy import ALWAYS, ORDER, POLICIES, Topic, policy_of
from lora_builder.caption.prompts import (
    BUILT_IN,
    STANDARD,
    Template,
    fill,
    find,
    from_json,
    to_json,
    variables,
)
from lora_builder.caption.structured import Fields, parse, read_json, render, schema, with_who
from lora_builder.caption.terms import without_clauses
from lora_builder.caption.tokens import count
from lora_builder.errors import BadSettings
from lora_builder.settings import load

EN = {
    "framing": "head-and-shoulders shot",
    "view": "three-quarter view facing left",
    "pose": "leaning on a railing",
    "expression": "laughing",
    "outfit": "wearing a grey coat",
    "place": "on a bridge",
    "light": "soft daylight",
}
ZH = {"framing": "头肩近景", "view": "朝左", "outfit": "穿着灰色大衣", "light": "柔光"}


def test_fields_become_prose_with_the_trigger_first() -> None:
    """One sentence in the order that trainers want."""
    assert render(Fields({"en": EN}), ["ohwx", "woman"], "prose", "en") == (
        "ohwx woman, a head-and-shoulders shot, three-quarter view facing left, leaning on a railing,"
        " laughing, wearing a grey coat, on a bridge, soft daylight."
    )


def test_fields_become_tags() -> None:
    """Trigger first, commas between, no articles, nothing twice."""
    text = render(Fields({"en": EN | {"pose": "laughing"}}), ["ohwx", "woman"], "tags", "en")
    assert text == (
        "ohwx, woman, head-and-shoulders shot, three-quarter view facing left, laughing, grey coat,"
        " bridge, soft daylight"
    )


def test_both_languages_share_one_line() -> None:
    """English, then Chinese, each with the trigger."""
    text = render(Fields({"en": {"framing": "bust shot"}, "zh": ZH}), ["ohwx"], "prose", "both")
    assert text == "ohwx, a bust shot. ohwx，头肩近景，朝左，穿着灰色大衣，柔光。"


def test_a_whole_sentence_gets_the_trigger_once() -> None:
    """A model that wrote the trigger itself does not double it."""
    assert with_who("A bust shot in a park.", ["ohwx", "woman"], "prose", "en") == (
        "ohwx woman, a bust shot in a park."
    )
    assert with_who("ohwx woman, a bust shot", ["ohwx", "woman"], "prose", "en") == "ohwx woman, a bust shot"
    assert with_who("bust shot, park.", ["ohwx"], "tags", "en") == "ohwx, bust shot, park"


def test_the_schema_asks_for_every_field() -> None:
    """Servers that can hold a model to a schema hold it to all fields and no other."""
    one = schema("en")
    assert one["required"] == list(ORDER) and one["additionalProperties"] is False
    assert set(schema("both")["properties"]) == {"en", "zh"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EN),
        f"Sure!\n```json\n{json.dumps(EN)}\n```",
        str(EN),
        json.dumps(EN)[:-1] + ",}",
        "\n".join(f"- **{name.title()}:** {value}" for name, value in EN.items()),
        json.dumps({name.upper(): value for name, value in EN.items()}),
    ],
)
def test_fields_are_read_however_they_are_dressed(text: str) -> None:
    """JSON, nearly JSON, fenced, or a list of lines: the same fields come out."""
    assert parse(text, "en") == Fields({"en": EN})


@given(st.text(max_size=200) | st.text(alphabet='{}[]":,\\ab', max_size=60))
def test_no_answer_breaks_the_reader(text: str) -> None:
    """Whatever a server sends is read or not, and never ends the run."""
    read_json(text)
    parse(text, "both")


def test_policies_fit_the_base_model() -> None:
    """Tags for booru-native SDXL, prose elsewhere, and the length that the encoder reads."""
    assert policy_of(load(base_model="sdxl", caption_style="tags")).name == "sdxl_tags"
    assert policy_of(load(base_model="flux")).encoder == "t5"
    assert policy_of(load(caption_policy="qwen_image")).encoder == "qwen"
    assert policy_of(load(caption_words="30-12")).words == (12, 30)
    assert policy_of(load(describe=("hair",))).leave_out == frozenset(Topic) - {Topic.HAIR}
    assert all(policy.leave_out >= ALWAYS for policy in POLICIES.values())


def test_prompts_say_what_to_leave_out() -> None:
    """The preview is the very text that would be sent."""
    policy = policy_of(load(describe=("hair", "glasses")))
    for template in BUILT_IN.values():
        prompt = fill(template, variables(policy, "ohwx", "woman", "head facing the camera"))
        text = prompt.system + prompt.user
        assert "ethnicity" in text and "the hair" not in text and "{" not in text.replace('{"', "")
        assert "ohwx" not in text


def test_templates_can_be_shared() -> None:
    """What is exported can be imported, and a broken file says what is wrong."""
    mine = Template("mine", "You see {class_word}.", 'Answer {"a": 1} in {language}.', structured=False)
    assert from_json(to_json(mine)) == mine
    filled = fill(mine, variables(policy_of(load()), "", "man"))
    assert (filled.system, filled.user) == ("You see man.", 'Answer {"a": 1} in English.')
    for broken in ("[]", "{", '{"name": "x"}', json.dumps({"name": "x", "system": "", "user": "{nope}"})):
        with pytest.raises(BadSettings):
            from_json(broken)
    with pytest.raises(BadSettings, match="standard"):
        find("absent")
    assert find("mine", {"mine": mine}) is mine and find("standard") is STANDARD


def test_clip_tokens_are_counted_not_guessed() -> None:
    """CLIP's own vocabulary: the ids of a known sentence are known."""
    known = count("a photo of a cat", "clip")
    assert known.exact and known.tokens == 5
    assert not count("a photo of a cat", "t5").exact
    assert count("半身照，正面", "qwen").tokens >= 6


@given(st.lists(st.sampled_from(["bust shot", "red coat", "park", "smile", "blue eyes"]), min_size=1))
def test_taking_a_phrase_out_leaves_the_rest(parts: list[str]) -> None:
    """Without the leak, nothing else is lost and no stray commas are left."""
    text = "ohwx woman, " + ", ".join(parts)
    cleaned = without_clauses(text, ["blue eyes"])
    assert "blue eyes" not in cleaned
    assert cleaned == ", ".join(["ohwx woman", *(part for part in parts if part != "blue eyes")])
