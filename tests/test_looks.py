from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_builder.looks import BATCH, FEW, Looks, held
from lora_builder.records import Box, Exposure, HeadPose, Look, Rejected
from lora_builder.store import Store
from tests.made import body, face, measurement


def rich(number: int) -> Look:
    """A measurement in which nothing is at its default and no two figures are equal."""
    faces = tuple(
        face(
            number,
            take=i,
            box=Box(10.5 + i, 20.25, 300.125, 400.5),
            landmarks=np.arange(10, dtype=np.float32).reshape(5, 2) + i,
            pose=HeadPose(12.5 + i, -3.25, 1.75),
            score=0.91,
            sharpness=0.31 + i,
            brightness=0.41,
            eyes_open=None if i else 0.7,
            smile=0.2 if i else None,
            motion=0.15,
        )
        for i in range(number % 3)
    )
    return measurement(
        f"{number:x}",
        *faces,
        size=(2001, 3002),
        format="PNG" if number % 2 else "JPEG",
        captured_at=None if number % 4 else 1.5e9 + number,
        phash=2**63 + number,
        sharpness=0.51,
        exposure=Exposure(0.1, 0.2, 0.3, 0.4),
        bodies=(body(Box(1.0, 2.0, 3.0, 4.5), 0 if faces else None),),
        warnings=("It is odd.",) if number % 5 == 0 else (),
        content=Box(1.0, 2.0, 1999.0, 2998.0) if number % 2 else None,
        colours=np.arange(48, dtype=np.uint8).reshape(4, 4, 3) + np.uint8(number % 200),
        jpeg_quality=None if number % 3 else 83,
    )


def assert_same(one: Any, other: Any) -> None:
    """Field by field, arrays by content."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


@pytest.mark.parametrize("on_disk", [False, True])
def test_every_look_comes_back_as_it_was(on_disk: bool, tmp_path: Path) -> None:
    """Nothing that was measured is lost in the compact form, nor told otherwise."""
    plain = {f"{i:x}": rich(i) for i in range(1, BATCH + 50)} | {"bad": Rejected("Cut short.", "Copy it.")}
    looks = Looks(plain, tmp_path if on_disk else None)
    assert len(looks) == len(plain) and set(looks) == set(plain) and "bad" in looks
    for sha256, look in plain.items():
        assert_same(looks[sha256], look)


def test_a_look_may_be_replaced_or_forgotten() -> None:
    """A photo that cannot be cut after all becomes unreadable, as in a dict."""
    looks = Looks({f"{i:x}": rich(i) for i in range(1, 6)})
    looks["2"] = Rejected("The drive is gone.")
    again = rich(3)
    assert not isinstance(again, Rejected)
    looks["3"] = replace(again, width=77)
    del looks["4"]
    assert isinstance(looks["2"], Rejected) and looks["3"].width == 77 and "4" not in looks  # type: ignore[union-attr]
    assert len(looks) == 4


def test_many_looks_come_from_the_store_as_they_were_saved(tmp_path: Path) -> None:
    """A large project is read in a stream, straight into the form in which it is held."""
    plain = {f"{i:x}": rich(i) for i in range(1, 40)} | {"bad": Rejected("Cut short.", "Copy it.")}
    store = Store(f"sqlite:///{tmp_path / 'made.db'}")
    store.save_looks("recipe", plain)
    assert held(FEW, tmp_path) == {}
    looks = store.looks([*plain, "unknown"], "recipe", held(FEW + 1, tmp_path / "data"))
    assert isinstance(looks, Looks) and set(looks) == set(plain)
    for sha256, look in plain.items():
        assert_same(looks[sha256], look)
