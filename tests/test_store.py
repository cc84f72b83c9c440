from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.errors import StoreUnavailable
from lora_builder.records import Box, Decision, Measurement, Override, Photo, Rejected, Source
from lora_builder.store import Store
from lora_builder.store.database import MIGRATIONS
from lora_builder.store.measurement_codec import decode, encode
from tests.made import body, face, measurement


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as opened:
        yield opened


def same(one: Measurement, other: Measurement) -> bool:
    return encode(one) == encode(other)


@given(faces=st.integers(0, 3), bodies=st.integers(0, 2), phash=st.integers(0, 2**64 - 1), time=st.none() | st.floats(0, 2e9))  # noqa: E501  # fmt: skip
def test_a_measurement_survives_storage(faces: int, bodies: int, phash: int, time: float | None) -> None:
    """Every field comes back as it was, arrays to the bit."""
    seen = tuple(body(Box(1, 2, 3, 4), None) for _ in range(bodies))
    look = measurement("ab", *(face(i) for i in range(faces)), phash=phash, captured_at=time, bodies=seen)
    again = decode(*encode(look))
    assert isinstance(again, Measurement) and same(look, again)
    assert again.phash == phash
    for ours, theirs in zip(look.faces, again.faces, strict=True):
        assert np.array_equal(ours.embedding, theirs.embedding) and ours.box == theirs.box


def test_looks_are_found_by_content_and_recipe(store: Store) -> None:
    """Another recipe knows nothing; a rejected photo is remembered as such."""
    looks = {f"{i:064x}": measurement(f"{i:x}", face(i)) for i in range(1, 1200)}
    store.save_looks("one", looks | {"bad": Rejected("broken", "mend")})
    assert store.looks(looks, "two") == {}
    found = store.looks([*looks, "bad", "unknown"], "one")
    assert len(found) == 1200 and found["bad"] == Rejected("broken", "mend")
    store.save_looks("one", {"bad": Rejected("again")})
    assert store.looks(["bad"], "one")["bad"] == Rejected("again")


def test_a_project_is_its_folder(store: Store, tmp_path: Path) -> None:
    """The same folder is the same project; ids cannot be guessed; owners see their own."""
    one = store.project(tmp_path / "a", "a", tmp_path, owner="me")
    assert store.project(tmp_path / "a", "a", tmp_path).id == one.id
    store.project(tmp_path / "b", "b", tmp_path, owner="you")
    assert len(one.id) >= 32 and [p.name for p in store.projects("me")] == ["a"]
    assert store.find_project(one.id) == one and store.find_project("x") is None
    store.delete_project(one.id)
    assert store.find_project(one.id) is None


def test_photos_decisions_and_overrides_come_back(store: Store, tmp_path: Path) -> None:
    """What was saved last is what is there, sorted by source name."""
    project = store.project(tmp_path / "a", "a", tmp_path)
    photos = [Photo(Source(n, tmp_path / n, m), n * 8, 5) for n, m in (("b", None), ("a", 3))]
    for _ in range(2):
        store.save_photos(project.id, photos, [("c", Rejected("no", "yes"))])
    assert store.photos(project.id) == (photos[::-1], [("c", Rejected("no", "yes"))])
    line = Decision("a", "x", 1, 2, "kept", "kept", "d", None, {"s": 1.5}, 1, (1, 2, 3, 4), None, None, "语")
    store.save_decisions(project.id, [line])
    assert store.decisions(project.id) == [line]
    override = Override(False, Box(1, 2, 3, 4), "mine", {0: True, 3: False}, prefer=True)
    store.set_override(project.id, "x", override)
    assert store.overrides(project.id) == {"x": override}
    store.set_override(project.id, "x", None)
    assert store.overrides(project.id) == {}


def test_a_database_that_cannot_be_opened_says_so_without_its_password() -> None:
    """The message names the database and hides the key."""
    with pytest.raises(StoreUnavailable) as caught:
        Store("postgresql://me:hidden-key@127.0.0.1:1/none")
    assert "hidden-key" not in str(caught.value) and caught.value.remedy


def test_the_schema_has_one_newest_revision() -> None:
    """Two revisions on one parent would let no database open."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """Going back to an older version says so in a sentence instead of a traceback."""
    url = f"sqlite:///{tmp_path / 'lora.db'}"
    Store(url).close()
    with sqlite3.connect(tmp_path / "lora.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")
    with pytest.raises(StoreUnavailable, match="newer version"):
        Store(url)


def test_a_token_stands_for_its_owner_until_the_next_one(store: Store) -> None:
    """Only the newest token of an owner works, and none once they are revoked; no token is kept as it is."""
    first, second = store.tokens.make("ann"), store.tokens.make("ann")
    other = store.tokens.make("bea")
    assert [store.tokens.owner_of(token) for token in (first, second, other)] == [None, "ann", "bea"]
    store.tokens.revoke("ann")
    assert (store.tokens.owner_of(second), store.tokens.made("ann")) == (None, False)
    assert store.tokens.made("bea")
