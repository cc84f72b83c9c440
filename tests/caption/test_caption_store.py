"""The user's words outlive everything, and every text can be had back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lora_builder.caption.records import (
    CaptionEntry,
    CaptionState,
    KeptAnswer,
    LedgerRow,
    Outcome,
    Purpose,
    StoredTemplate,
)
from lora_builder.records import Override
from lora_builder.store import Store

P = "project"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as opened:
        yield opened


def test_a_run_never_touches_the_users_words(store: Store) -> None:
    """What the user wrote is locked: a later run, good or failed, changes nothing."""
    store.captions.record(P, CaptionEntry("a", "by a model", "qwen"))
    store.captions.set_by_user(P, {"a": " my own\n words "})
    assert not store.captions.record(P, CaptionEntry("a", "again by a model", "qwen"))
    store.captions.record_many(P, [CaptionEntry("a", "", "qwen", CaptionState.FAILED, "no answer")])
    entry = store.captions.all(P)["a"]
    assert (entry.text, entry.author, entry.locked) == ("my own words", "user", True)


def test_an_empty_caption_is_refused(store: Store) -> None:
    """Trainers stop on an empty caption file, so the user cannot save one by accident."""
    with pytest.raises(ValueError):
        store.captions.set_by_user(P, {"a": "  \n"})


def test_every_text_can_be_had_back(store: Store) -> None:
    """History lists what was there, newest first, and any of it can be brought back."""
    for text in ("one", "two", "three"):
        store.captions.record(P, CaptionEntry("a", text, "qwen"))
    versions = store.captions.history(P, "a")
    assert [version.entry.text for version in versions] == ["three", "two", "one"]
    back = store.captions.revert(P, "a")
    assert back is not None and back.text == "two"
    first = store.captions.revert(P, "a", versions[-1].id)
    assert first is not None and first.text == "one"
    assert store.captions.revert(P, "nowhere") is None


def test_one_click_is_undone_as_one(store: Store) -> None:
    """Undo takes back a whole remedy, but not what the user changed after it."""
    for item in "abc":
        store.captions.record(P, CaptionEntry(item, f"old {item}", "qwen", recipe="r"))
    batch = store.captions.set_by_user(P, {item: f"new {item}" for item in "abc"}, lock=False)
    store.captions.set_by_user(P, {"c": "by hand"})
    assert sorted(store.captions.undo(P, batch)) == ["a", "b"]
    texts = {item: entry.text for item, entry in store.captions.all(P).items()}
    assert texts == {"a": "old a", "b": "old b", "c": "by hand"}
    assert store.captions.all(P)["a"].author == "qwen"


def test_the_older_override_gives_way_to_the_newer_words(store: Store, tmp_path: Path) -> None:
    """There is one place for the user's words: the newest."""
    project = store.project(tmp_path / "out", "Ann", tmp_path)
    store.set_override(project.id, "a", Override(keep=True, caption="older"))
    store.captions.set_by_user(project.id, {"a": "newer"})
    assert store.overrides(project.id)["a"] == Override(keep=True)


def test_a_deleted_project_leaves_no_captions(store: Store, tmp_path: Path) -> None:
    """Forgetting a project forgets its texts and whom its photos were sent to."""
    project = store.project(tmp_path / "out", "Ann", tmp_path)
    store.captions.set_by_user(project.id, {"a": "words"})
    store.ledger.begin(row(project_id=project.id))
    store.delete_project(project.id)
    assert store.captions.all(project.id) == {}
    assert store.captions.history(project.id, "a") == []
    assert store.ledger.rows(project.id) == []


def row(**more: object) -> LedgerRow:
    plain = LedgerRow(P, "a", Purpose.CAPTION, "lab", "127.0.0.1", "qwen", 1000, 100.0)
    return replace(plain, **more)  # type: ignore[arg-type]


def test_the_ledger_sums_what_each_model_did(store: Store) -> None:
    """Requests, tokens, cost, seconds and failures per model, as the monitor shows them."""
    for number, (item, outcome) in enumerate(
        [("a", Outcome.OK), ("b", Outcome.RATE_LIMITED), ("b", Outcome.OK), ("c", Outcome.SENT)]
    ):
        started = row(item=item, started_at=100.0 + number)
        known = replace(started, id=store.ledger.begin(started))
        if outcome is not Outcome.SENT:
            done = replace(known, outcome=outcome, seconds=0.5, tokens_in=10, tokens_out=5, cost=0.25)
            store.ledger.finish(done)
    (line,) = store.ledger.sums(P)
    assert (line.requests, line.answered, line.pictures) == (4, 2, 3)
    assert (line.tokens_in, line.tokens_out, line.seconds, line.cost) == (30, 15, 1.5, 0.75)
    assert line.failures == {"rate_limited": 1, "sent": 1}
    assert store.ledger.used_since("lab", "qwen", 102.0) == [102.0, 103.0]


def test_answer_caption_and_ledger_arrive_together(store: Store) -> None:
    """One transaction: there is no moment at which an answer is paid for and its caption is not kept."""
    started = row()
    known = replace(started, id=store.ledger.begin(started), outcome=Outcome.OK)
    answer = KeptAnswer("raw", "stop", 10, 5)
    store.ledger.finish(known, answer, "key", CaptionEntry("a", "a caption", "qwen", recipe="r"))
    assert store.answers.get(["key", "other"]) == {"key": answer}
    assert store.captions.all(P)["a"].text == "a caption"
    assert store.ledger.rows(P)[0].outcome is Outcome.OK


def test_a_quota_that_the_server_named_is_remembered(store: Store) -> None:
    """A run tomorrow morning does not knock again before the hour that the server gave."""
    started = row()
    known = replace(started, id=store.ledger.begin(started), outcome=Outcome.QUOTA, until=5000.0)
    store.ledger.finish(known)
    assert store.ledger.paused_until("lab", "qwen") == 5000.0
    assert store.ledger.paused_until("lab", "other") == 0.0


def test_templates_are_kept_by_name(store: Store) -> None:
    """Saving under a known name replaces; deleting forgets."""
    store.templates.save(StoredTemplate("mine", {"user": "one"}))
    store.templates.save(StoredTemplate("mine", {"user": "two"}))
    assert store.templates.all() == [StoredTemplate("mine", {"user": "two"})]
    assert store.templates.delete("mine") and not store.templates.delete("mine")
    assert store.templates.all() == []


def test_templates_belong_to_who_saved_them(store: Store) -> None:
    """A visitor sees everybody's templates and their own, which hide one of the same name; no others'."""
    store.templates.save(StoredTemplate("house", {"user": "machine"}))
    store.templates.save(StoredTemplate("house", {"user": "ann"}, "ann"))
    store.templates.save(StoredTemplate("secret", {"user": "ann"}, "ann"))
    assert [kept.body["user"] for kept in store.templates.all("ann")] == ["ann", "ann"]
    assert store.templates.all("bea") == [StoredTemplate("house", {"user": "machine"})]
    assert not store.templates.delete("house", "bea")
