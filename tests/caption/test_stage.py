"""The caption stage against a real server that misbehaves: retry, move on, save, never pay twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_builder.caption.asking import CaptionTask
from lora_builder.caption.records import CaptionEntry, CaptionState, Outcome
from lora_builder.caption.stage import caption_all, insist, plan
from lora_builder.errors import Cancelled, CaptionsMissing
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from tests.caption.conftest import Unruly

P = "project"
KEY = "sk-marked-secret-0123456789"
GOOD = "ohwx woman, a bust shot, front view, standing, calm, wearing a grey coat, in a park, soft daylight."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'lora.db'}") as opened:
        yield opened


def settings_for(server: Unruly, tmp_path: Path, **more: object) -> Settings:
    plain: dict[str, object] = {
        "data_dir": tmp_path / "data",
        "base_url": server.url,
        "modelscope_token": KEY,
        "tag_model": "alpha",
        "trigger": "ohwx",
        "class_word": "woman",
        "caption_patience_s": 3.0,
    }
    return load(**plain | more)


def run(store: Store, tasks: list[CaptionTask], settings: Settings) -> dict[str, CaptionEntry]:
    results = caption_all(store, P, tasks, settings)
    return {entry.item: entry for entry in results if isinstance(entry, CaptionEntry)}


def outcomes(store: Store) -> list[str]:
    return [row.outcome.value for row in reversed(store.ledger.rows(P))]


def test_every_photo_is_captioned_with_the_trigger_first(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """Each picture goes out once, small and without metadata, and comes back as a caption by its model."""
    entries = run(store, tasks, settings_for(server, tmp_path))
    assert {entry.text for entry in entries.values()} == {GOOD}
    assert {entry.author for entry in entries.values()} == {"alpha@base"}
    assert len({line["picture"] for line in server.log}) == len(server.log) == len(tasks)
    assert all(line["schema"] and line["key"] == f"Bearer {KEY}" for line in server.log)
    assert not any(name.startswith("openai-") for line in server.log for name in line["headers"])
    (sums,) = store.ledger.sums(P)
    assert (sums.requests, sums.tokens_in, sums.host) == (6, 5400, f"127.0.0.1:{server.port}")


def test_a_second_run_pays_for_nothing(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """What stands is not asked again; another trigger is written in without a request."""
    run(store, tasks, settings_for(server, tmp_path))
    run(store, tasks, settings_for(server, tmp_path))
    other = run(store, tasks, settings_for(server, tmp_path, trigger="sks"))
    assert len(server.log) == len(tasks)
    assert all(entry.text.startswith("sks woman") for entry in other.values())


def test_a_run_pays_only_for_what_is_missing(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """New photos are asked about, the user's own words are left alone."""
    run(store, tasks[:3], settings_for(server, tmp_path))
    store.captions.set_by_user(P, {tasks[3].item: "my words"})
    entries = run(store, tasks, settings_for(server, tmp_path))
    assert len(server.log) == 5
    assert entries[tasks[3].item].text == "my words"


def test_one_photo_is_asked_about_anew(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """The user did not like one caption: that one is asked for again, and only that one."""
    run(store, tasks, settings_for(server, tmp_path))
    server.behave(then="prose")
    store.captions.forget(P, tasks[0].item)
    entries = run(store, tasks, settings_for(server, tmp_path))
    assert len(server.log) == 1
    assert "red coat" in entries[tasks[0].item].text and entries[tasks[1].item].text == GOOD
    assert [v.entry.text for v in store.captions.history(P, tasks[0].item)][-1] == GOOD


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("429", Outcome.RATE_LIMITED),
        ("429-wait", Outcome.RATE_LIMITED),
        ("500", Outcome.SERVER_ERROR),
        ("503", Outcome.SERVER_ERROR),
        ("cut", Outcome.CONNECTION),
        ("reset", Outcome.CONNECTION),
        ("garbage", Outcome.PROTOCOL),
        ("html", Outcome.PROTOCOL),
        ("wrong-shape", Outcome.PROTOCOL),
        ("wrapped-error", Outcome.SERVER_ERROR),
        ("endless", Outcome.PROTOCOL),
        ("bomb", Outcome.PROTOCOL),
        ("refuse", Outcome.BAD_ANSWER),
        ("refusal_field", Outcome.BAD_ANSWER),
        ("empty", Outcome.BAD_ANSWER),
        ("thinking", Outcome.BAD_ANSWER),
        ("injected", Outcome.BAD_ANSWER),
    ],
)
def test_a_fault_is_tried_again(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path, fault: str, outcome: Outcome
) -> None:
    """One bad moment or bad answer costs another request, never the caption, and is in the ledger."""
    server.behave(fault)
    started = time.monotonic()
    (entry,) = run(store, tasks[:1], settings_for(server, tmp_path)).values()
    assert entry.text == GOOD
    assert outcomes(store) == [outcome.value, "ok"]
    if fault == "429-wait":
        assert time.monotonic() - started >= 1.0
    if outcome is Outcome.BAD_ANSWER:
        assert server.log[1]["turns"] == server.log[0]["turns"] + 2


@pytest.mark.parametrize("fault", ["quota", "quota-until", "404", "401", "400", "refuse", "500"])
def test_a_model_that_cannot_gives_way_to_the_next(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path, fault: str
) -> None:
    """Used-up quota, hard failure, stubborn refusal or endless trouble: the next in the list is asked."""
    server.behave(models={"alpha": fault})
    few = 3 if fault == "500" else 5
    settings = settings_for(server, tmp_path, tag_model="alpha,beta", caption_tries=few)
    place = f"other={server.url}"
    if fault == "401":
        settings = settings_for(server, tmp_path, tag_model="alpha,beta@other", endpoints=place)
    entries = run(store, tasks[:2], settings)
    assert {entry.text for entry in entries.values()} == {GOOD}
    assert {entry.author.partition("@")[0] for entry in entries.values()} == {"beta"}
    asked = [line["model"] for line in server.log]
    assert asked.count("beta") == 2
    if fault == "quota-until":
        assert store.ledger.paused_until("base", "alpha") > time.time() + 7000
        run(store, tasks[2:3], settings)
        assert [line["model"] for line in server.log].count("alpha") == asked.count("alpha")


def test_when_no_model_can_the_photo_is_failed_and_says_why(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """A failed caption is a state with a reason; packing is refused with names and a remedy."""
    server.behave(models={"alpha": "refuse", "beta": "empty"})
    settings = settings_for(server, tmp_path, tag_model="alpha,beta")
    entries = run(store, tasks[:2], settings)
    assert {entry.state for entry in entries.values()} == {CaptionState.FAILED}
    entry = entries[tasks[0].item]
    assert entry.text == "" and "alpha" in entry.reason and "beta" in entry.reason
    names = {task.item: task.name for task in tasks}
    with pytest.raises(CaptionsMissing) as refused:
        insist(entries.values(), names, settings)
    assert "0000.jpg" in str(refused.value) and "failed_captions" in refused.value.remedy
    lenient = settings.model_copy(update={"failed_captions": "leave_out"})
    assert insist(entries.values(), names, lenient) == {task.item for task in tasks[:2]}


def test_the_composer_steps_in_where_the_user_says_so(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """By setting only, with the reason kept; and the next run asks the models again."""
    server.behave(models={"alpha": "refuse"})
    settings = settings_for(server, tmp_path, failed_captions="compose")
    (entry,) = run(store, tasks[:1], settings).values()
    assert entry.author == "composer" and entry.text.startswith("ohwx woman") and entry.reason
    server.behave()
    (again,) = run(store, tasks[:1], settings).values()
    assert again.author == "alpha@base"


def test_what_a_server_does_not_know_is_left_away(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """A server without JSON schemas or with another name for a parameter is asked its own way."""
    server.behave(then="strict")
    entries = run(store, tasks, settings_for(server, tmp_path, caption_parallel=1))
    assert {entry.text for entry in entries.values()} == {GOOD}
    assert len(server.log) <= len(tasks) + 4


def test_identity_is_taken_out_of_an_answer(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """The prompt asks, the check makes sure."""
    server.behave(then="leak")
    (entry,) = run(store, tasks[:1], settings_for(server, tmp_path)).values()
    assert entry.text == (
        "ohwx woman, a bust shot, front view, smiling, wearing a grey coat, in a park, soft daylight."
    )


def test_a_dead_endpoint_is_left_alone_for_a_while(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """With an endpoint that answers nothing, not every photo waits for all its tries."""
    dead = "dead=http://127.0.0.1:9/v1"
    settings = settings_for(server, tmp_path, endpoints=dead, tag_model="x@dead,alpha")
    started = time.monotonic()
    entries = run(store, tasks, settings)
    assert {entry.author for entry in entries.values()} == {"alpha@base"}
    assert time.monotonic() - started < 25
    assert outcomes(store).count("connection") < 5 * len(tasks)


def test_limits_are_kept(server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path) -> None:
    """Never more requests at once than allowed; a day's limit hands over to the next model."""
    server.behave(latency=0.1)
    settings = settings_for(
        server, tmp_path, caption_parallel=2, tag_model="alpha,beta", model_limits="alpha rpd=2"
    )
    entries = run(store, tasks, settings)
    assert server.most() <= 2
    assert sorted(entry.author for entry in entries.values()) == ["alpha@base"] * 2 + ["beta@base"] * 4


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_cancel_ends_within_a_second_and_keeps_what_came(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path, fault: str
) -> None:
    """However the server hangs, stop means stop; the captions that arrived are there."""
    server.behave("good", then=fault)
    settings = settings_for(server, tmp_path, caption_parallel=1)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        for entry in caption_all(store, P, tasks, settings, stop.is_set):
            if isinstance(entry, CaptionEntry):
                time.sleep(0.5)
                stopped = time.monotonic()
                stop.set()
    assert time.monotonic() - stopped < 1.5
    assert len(store.captions.all(P)) == 1
    assert threading.active_count() < 8


def test_a_deadline_ends_a_drip_feed(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """A byte now and then does not keep a request alive past its time."""
    server.behave("drip")
    started = time.monotonic()
    (entry,) = run(store, tasks[:1], settings_for(server, tmp_path, caption_timeout_s=1.0)).values()
    assert entry.text == GOOD and outcomes(store) == ["timeout", "ok"]
    assert time.monotonic() - started < 6


def test_a_redirect_sends_the_photo_nowhere(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """An endpoint that points elsewhere gets no second chance, and elsewhere gets nothing."""
    server.behave(then="redirect", to=f"{server.url}/chat/completions")
    entries = run(store, tasks[:2], settings_for(server, tmp_path))
    assert {entry.state for entry in entries.values()} == {CaptionState.FAILED}
    assert len(server.log) <= 2


def test_a_key_is_never_written_down(
    server: Unruly,
    store: Store,
    tasks: list[CaptionTask],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that throws the key back at us does not get it into reasons, ledger, logs or database."""
    server.behave(then="401")
    with caplog.at_level(logging.DEBUG):
        entries = run(store, tasks[:1], settings_for(server, tmp_path))
    said = str(entries) + str(store.ledger.rows(P)) + caplog.text
    assert "[key]" in said and KEY not in said
    store.close()
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_shared_app_calls_nothing_on_its_own_network(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """A visitor's address that leads to this machine is refused before anything is sent."""
    entries = run(store, tasks[:1], settings_for(server, tmp_path, private_endpoints="refuse"))
    assert "may not be called" in entries[tasks[0].item].reason
    assert server.log == []


def test_the_notice_says_how_many_pictures_go_where(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """Before anything leaves, the count and the host."""
    remote = settings_for(server, tmp_path, base_url="https://api.example.org/v1")
    assert plan(store, P, tasks, remote).notice() == "6 pictures go to api.example.org."
    run(store, tasks, settings_for(server, tmp_path))
    assert plan(store, P, tasks, settings_for(server, tmp_path)).notice() == ""


def test_a_time_limit_fails_what_is_left(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """With a limit on the stage, the rest is failed with that reason, not lost."""
    server.behave("good", then="slow")
    settings = settings_for(server, tmp_path, caption_parallel=1, caption_minutes=0.02)
    entries = run(store, tasks, settings)
    assert len(entries) == len(tasks)
    assert sum(entry.state is CaptionState.WRITTEN for entry in entries.values()) == 1
    assert any("time limit" in entry.reason for entry in entries.values())


@pytest.mark.parametrize("second", ["good", "crowd", "400"])
def test_a_caption_in_doubt_is_asked_once_more_where_the_user_wants_that(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path, second: str
) -> None:
    """The model hears what was measured; it may correct itself, insist, or fail: a caption stands anyway."""
    server.behave("crowd", second)
    [entry] = run(
        store, tasks[:1], settings_for(server, tmp_path, caption_contradictions="ask_again")
    ).values()
    assert entry.state is CaptionState.WRITTEN
    assert (entry.text == GOOD) == (second == "good")
    assert [line["turns"] for line in server.log] == [2, 4]
    assert store.captions.all(P)[entry.item].text == entry.text


def test_a_caption_in_doubt_costs_no_second_request_by_default(
    server: Unruly, store: Store, tasks: list[CaptionTask], tmp_path: Path
) -> None:
    """A measurement can be wrong and a request costs money: it is listed for review, not asked again."""
    server.behave("crowd")
    [entry] = run(store, tasks[:1], settings_for(server, tmp_path)).values()
    assert "two women" in entry.text and len(server.log) == 1
