"""What one visitor, one address and everybody may use of a shared server."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from lora_builder.errors import BadInput
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from lora_builder.ui.quotas import HOUR_S, Quotas, address_of
from lora_builder.ui.runs import within
from tests.ui.test_desk import a_desk


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_fresh_cookies_do_not_help() -> None:
    """A visitor who takes a new cookie for every upload ends at the limit of their address."""
    clock = Clock()
    quotas = Quotas(address_visitors=3, all_visitors=5, clock=clock)
    for number in range(10):
        quotas.seen(f"cookie {number}", "203.0.113.7")
    assert [quotas.take("upload", 100, f"cookie {number}", 90) for number in range(4)] == [True] * 3 + [False]
    quotas.seen("neighbour", "203.0.113.8")
    assert quotas.take("upload", 100, "neighbour", 90) and not quotas.take("upload", 100, "neighbour", 20)
    assert quotas.take("upload", 100, "neighbour", 10)
    clock.now += HOUR_S + 1
    assert quotas.take("upload", 100, "cookie 9", 90)


def test_all_together_have_a_limit() -> None:
    """A crowd of addresses cannot use up a server either; and a limit of 0 is none."""
    quotas = Quotas(address_visitors=3, all_visitors=4)
    taken = []
    for number in range(6):
        quotas.seen(f"cookie {number}", f"203.0.113.{number}")
        taken.append(quotas.take("upload", 100, f"cookie {number}", 100))
    assert taken == [True] * 4 + [False] * 2
    assert Quotas().take("upload", 0, "anybody", 1e9) and Quotas().take("upload", 100, "anybody", 100)


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("203.0.113.7", ["198.51.100.1"], [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], ["10.0.0.0/8"], "203.0.113.7"),
        ("10.1.2.3", ["198.51.100.1"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.1.2.3", ["6.6.6.6", "198.51.100.1"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.1.2.3", [], ["10.0.0.0/8"], ""),
        ("10.1.2.3", ["6.6.6.6, rubbish"], ["10.0.0.0/8"], ""),
        ("2001:db8:1:2:3:4:5:6", [], [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", [], [], "203.0.113.7"),
    ],
)
def test_an_address_is_believed_only_from_a_trusted_proxy(
    peer: str, forwarded: list[str], trusted: list[str], found: str
) -> None:
    """Whatever a visitor writes into X-Forwarded-For, they are where the last proxy saw them."""
    assert address_of(scope(peer, *forwarded), trusted) == found


def events(photos: int) -> Generator[Event, None, None]:
    for number in range(photos):
        yield Event("ann", Stage.MEASURE, number + 1, photos, f"{number}.jpg", pixels=24_000_000)


def test_megapixels_have_a_limit_each_hour() -> None:
    """A run stops with a sentence when its visitor's hour is used up; another visitor's goes on."""
    quotas, seen = Quotas(all_visitors=3), []
    with pytest.raises(BadInput, match="100 megapixels"):
        for event in within(quotas, "ann", 100, events(10)):
            seen.append(event)
    assert len(seen) == 5
    assert len(list(within(quotas, "bea", 100, events(4)))) == 4
    assert len(list(within(quotas, "ann", 0, events(10)))) == 10


def test_what_a_photo_costs_is_told_when_it_is_measured(settings: Settings, tmp_path: object) -> None:
    """The limit counts pixels that were really decoded, once: known photos cost nothing."""
    from pathlib import Path

    from PIL import Image
    from skimage.data import astronaut

    from lora_builder import pipeline

    folder = Path(str(tmp_path)) / "photos"
    folder.mkdir()
    Image.fromarray(astronaut()).save(folder / "one.png")
    own = settings.model_copy(update={"body_model": "none"})
    with Store(own.database) as store:
        project = store.project(folder.parent / "out", "one", folder)
        stages = (Stage.INGEST, Stage.MEASURE)
        costs = [sum(e.pixels for e in pipeline.run(store, project, own, stages=stages)) for _ in range(2)]
    assert costs == [512 * 512, 0]


def test_jobs_have_a_limit_for_an_address_and_for_all(settings: Settings) -> None:
    """Nobody fills the queue with fresh cookies; where all is full, that is what is said."""
    limits = settings.model_copy(update={"visitor_jobs": 1, "address_visitors": 2, "all_visitors": 3})
    with Store(settings.database) as store:
        desk = a_desk(limits, store)
        desk.jobs._wake = lambda: None  # type: ignore[method-assign]
        owners = [letter * 40 for letter in "abcde"]
        for owner in owners[:3]:
            desk.quotas.seen(owner, "203.0.113.7")
        for owner in owners[3:]:
            desk.quotas.seen(owner, f"203.0.113.{ord(owner[0])}")
        projects = {owner: desk.intake.create(owner, "one", "en") for owner in owners}
        for owner in owners[:2]:
            desk.run(projects[owner])
        with pytest.raises(BadInput, match="as many jobs as it takes"):
            desk.run(projects[owners[2]])
        desk.run(projects[owners[3]])
        with pytest.raises(BadInput, match="as many jobs as it takes"):
            desk.run(projects[owners[4]])
        desk.run(projects[owners[0]])  # its job waits already: this is not another one


def test_a_proxy_is_an_address_or_a_network() -> None:
    """A slip in the setting is told, not ignored."""
    assert load(trusted_proxies="10.0.0.0/8, 192.0.2.1").trusted_proxies == ("10.0.0.0/8", "192.0.2.1")
    with pytest.raises(Exception, match="trusted_proxies"):
        load(trusted_proxies="my-proxy")
