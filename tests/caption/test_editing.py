"""Editing many captions at once: nothing is changed that was not shown, and no pattern hangs the app."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.caption.editing import (
    Append,
    Call,
    Change,
    Operation,
    Prepend,
    Remove,
    Replace,
    Text,
    frequencies,
    one_line,
    preview,
)
from lora_builder.errors import BadInput

PROSE = "ohwx woman in a head-and-shoulders shot, facing the camera, smiling."


def after(operation: Operation, text: str) -> str:
    changes = preview([Text("a", text)], operation).changes
    return changes[0].after if changes else text


@pytest.mark.parametrize(
    ("operation", "before", "wanted"),
    [
        (Replace("smiling", "laughing"), PROSE, PROSE.replace("smiling", "laughing")),
        (Replace("SMILING", "laughing"), PROSE, PROSE.replace("smiling", "laughing")),
        (Replace("SMILING", "laughing", case=True), PROSE, PROSE),
        (Replace("shot", "x", whole=True), "shots, shot", "shots, x"),
        (Replace("(a.b)", r"\1"), "(a.b) aab", r"\1 aab"),
        (Replace(r"(\w+) woman", r"\1 person", pattern=True), PROSE, PROSE.replace("woman", "person")),
        (Replace(r"(?P<who>ohwx)", r"\g<who>!", pattern=True), "ohwx", "ohwx!"),
        (Replace("红", "蓝"), "穿红衣服", "穿蓝衣服"),
        (Prepend("ohwx"), "woman", "ohwx, woman"),
        (Prepend("ohwx"), "ohwx, woman", "ohwx, woman"),
        (Append("soft light"), PROSE, PROSE[:-1] + ", soft light."),
        (Append("smiling"), PROSE, PROSE),
        (Remove("facing the camera"), PROSE, "ohwx woman in a head-and-shoulders shot, smiling."),
        (Remove("Smiling"), "smile, smiling, red", "smile, red"),
        (Remove("微笑"), "正面，微笑，红衣", "正面，红衣"),
        (Call("sks", "man", former="ohwx"), "ohwx man in a photo.", "sks man in a photo."),
        (Call("sks", "woman"), "A woman, close-up, sks", "sks woman, close-up"),
        (Call("sks", "woman", tags=True), "woman close-up", "sks woman, close-up"),
        (Call("", former="ohwx"), "ohwx, close-up", "close-up"),
    ],
)
def test_each_operation_does_what_it_says(operation: Operation, before: str, wanted: str) -> None:
    """Find and replace, in front, at the end, remove, trigger and class word; tidy commas, no doubles."""
    assert after(operation, before) == wanted


def test_locked_and_emptied_captions_are_left_alone_and_counted() -> None:
    """What the user locked is not changed, what would be empty is not either, and both are told."""
    texts = [Text("a", "red"), Text("b", "red coat", locked=True), Text("c", "red coat"), Text("d", "blue")]
    seen = preview(texts, Remove("red"))
    assert seen.changes == (Change("c", "red coat", "coat"),)
    assert seen.locked == ("b",) and seen.emptied == ("a",)


@pytest.mark.parametrize("bad", ["(", "[a", "*", r"(?=a)", r"(a)\1", "(a{1,900}){1,900}", "x" * 501, "a**"])
def test_a_bad_pattern_is_a_sentence(bad: str) -> None:
    """What is no pattern, or one that RE2 has not, is told before anything is changed."""
    with pytest.raises(BadInput) as raised:
        preview([Text("a", "aaa")], Replace(bad, "", pattern=True))
    assert raised.value.message


@pytest.mark.parametrize("put", [r"\2", r"\g<9>", r"\g<name>"])
def test_a_replacement_without_its_group_is_a_sentence(put: str) -> None:
    """Even where no caption matches, so that it is not found out by half."""
    with pytest.raises(BadInput):
        preview([Text("a", "zzz")], Replace("(a)", put, pattern=True))


@pytest.mark.parametrize("evil", ["(a+)+$", "(a|aa)+$", "(.*a){12}$", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_catastrophic_pattern_costs_nothing(evil: str) -> None:
    """Patterns that hang backtracking engines for years run over 1,000 captions in moments."""
    texts = [Text(str(n), "a" * 200 + "!") for n in range(1000)]
    begin = time.perf_counter()
    preview(texts, Replace(evil, "x", pattern=True))
    assert time.perf_counter() - begin < 2.5


def test_what_takes_too_long_is_given_up() -> None:
    """Beyond the deadline there is a sentence, and nothing was changed."""
    with pytest.raises(BadInput, match="too long"):
        preview([Text("a", "x")], Append("y"), deadline_s=-1)
    with pytest.raises(BadInput, match="too long"):
        preview([Text("a", "x" * 200)], Replace("x", "y" * 100))


@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_whatever_is_typed_every_change_is_a_caption(texts: list[str], find: str, put: str) -> None:
    """Any text, any words: what comes out is one printable line, never empty, and only real changes."""
    lines = [Text(str(n), one_line(text)) for n, text in enumerate(texts)]
    for operation in (Replace(find, put), Prepend(put), Append(put), Remove(find), Call(find, put)):
        for change in preview(lines, operation).changes:
            assert change.after and change.after != change.before
            assert change.after == one_line(change.after) and change.after.isprintable()


@given(st.text(max_size=30), st.text(max_size=6))
def test_doing_it_twice_does_it_once(text: str, words: str) -> None:
    """In front and at the end are not repeated by a second click."""
    for operation in (Prepend(words), Append(words)):
        once = after(operation, one_line(text))
        assert after(operation, once) == once


def test_words_that_will_bind_are_told_from_those_that_may() -> None:
    """The share of captions that say a word or a clause; the trigger itself and small words do not count."""
    texts = [f"ohwx woman, facing the camera, {'red' if n < 7 else 'blue'} coat {n}" for n in range(10)]
    terms = {term.term: term for term in frequencies(texts, "ohwx", "woman")}
    assert terms["facing the camera"].binding == terms["coat"].binding == "binds"
    assert terms["red"].binding == "may_bind" and terms["red"].share == 0.7
    assert terms["blue"].binding == ""
    assert not {"ohwx", "woman", "the"} & set(terms)
    assert frequencies([], "ohwx") == []
