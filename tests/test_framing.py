"""What the user framed comes out legal, and what is wrong with it is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.focus import frame
from lora_builder.framing import Concern, automatic, chosen, concerns, fitted, framed, framings, size_for
from lora_builder.records import Box, Crop
from lora_builder.settings import load
from tests.made import body, face, measurement

SQUARE = load()
BUCKETS = load(buckets=("1024x1024", "832x1216", "1216x832"))
AUTO = load(buckets="auto")


@given(
    width=st.integers(16, 20_000),
    height=st.integers(16, 20_000),
    box=st.tuples(*[st.floats(-1e9, 1e9, allow_nan=False)] * 2, *[st.floats(1e-3, 1e9)] * 2),
    size=st.sampled_from([(1024, 1024), (832, 1216), (1536, 640)]),
)
def test_any_rectangle_becomes_a_legal_box(
    width: int, height: int, box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    """Whatever a browser sends: whole pixels, inside the picture, in shape, and stable when sent again."""
    fit = fitted(Box(*box), size, width, height)
    assert Box(0, 0, width, height).contains(fit)
    assert all(value == int(value) for value in fit) and fit.width >= 1 and fit.height >= 1
    assert abs(fit.width * size[1] - fit.height * size[0]) <= 2 * max(size)
    assert fitted(fit, size, width, height) == fit


@given(x=st.integers(0, 3000), y=st.integers(0, 3000), side=st.integers(64, 1000))
def test_a_legal_box_is_not_moved_by_a_pixel(x: int, y: int, side: int) -> None:
    """What the user drew is what is cut, to the pixel."""
    assert fitted(Box(x, y, side, side), (1024, 1024), 4000, 4000) == Box(x, y, side, side)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonsense_is_refused(bad: float) -> None:
    """A box that is no rectangle is an error, not a crop of something else."""
    for box in (Box(bad, 0, 10, 10), Box(0, 0, bad, 10), Box(0, 0, 0, 10), Box(0, 0, 10, -5)):
        with pytest.raises(ValueError, match="rectangle"):
            fitted(box, (1024, 1024), 2000, 2000)


def test_the_box_finds_its_bucket_again() -> None:
    """Only the box is remembered; its shape says which training size was meant."""
    assert size_for(Box(0, 0, 832, 1216), BUCKETS) == (832, 1216)
    assert size_for(Box(0, 0, 1900, 1300), BUCKETS) == (1216, 832)
    several = load(buckets=("512x512", "768x768", "1024x1024"))
    assert size_for(Box(0, 0, 900, 900), several) == (768, 768)
    assert size_for(Box(0, 0, 300, 300), several) == (512, 512)
    assert size_for(Box(0, 0, 3000, 3000), several) == (1024, 1024)


@given(st.floats(0.1, 4000), st.floats(0.1, 4000), st.floats(-500, 2500), st.floats(-500, 2500))
def test_a_drawn_box_is_never_stretched_nor_blown_up(w: float, h: float, x: float, y: float) -> None:
    """Whatever is drawn comes out in the proportions it is cut in, and no larger than it is."""
    for size in (None, (832, 1216)):
        crop = chosen(Box(x, y, w, h), 3000, 3000, AUTO, size)
        assert Box(0, 0, 3000, 3000).contains(crop.box)
        assert all(value == int(value) for value in crop.box)
        across, down = crop.box.width / crop.width, crop.box.height / crop.height
        assert abs(across - down) <= 1.5 * max(1 / crop.width, 1 / crop.height)
        assert crop.width <= crop.box.width + 1 and crop.height <= crop.box.height + 1
        assert crop.width % 8 == crop.height % 8 == 0


@given(st.integers(300, 2000), st.integers(300, 2000))
def test_a_ready_made_crop_is_not_cut_again(width: int, height: int) -> None:
    """A whole picture taken as its own crop loses no more than the pixels that a step of eight costs."""
    crop = chosen(Box(0, 0, width, height), width, height, AUTO)
    zoom = crop.width / crop.box.width
    assert crop.box.width > width - 8 / zoom - 1 and crop.box.height > height - 8 / zoom - 1


def test_a_small_box_gives_a_small_picture_and_a_warning() -> None:
    """Nothing is blown up unless the settings allow it, and either way it is said."""
    box = Box(100, 100, 500, 500)
    look = measurement("1", face(box=Box(250, 250, 100, 120)), size=(2000, 2000))
    small = chosen(box, 2000, 2000, SQUARE)
    assert (small.width, small.height) == (496, 496) and box.contains(small.box)
    assert concerns(look, 0, small, SQUARE) == {Concern.SMALL: pytest.approx((496 / 1024) ** 2)}
    leave = load(max_upscale=4.0)
    large = chosen(box, 2000, 2000, leave)
    assert large == Crop(box, 1024, 1024)
    assert concerns(look, 0, large, leave) == {Concern.UPSCALED: pytest.approx(2.048)}


def test_a_size_that_is_gone_is_replaced() -> None:
    """A box drawn for a bucket that the settings no longer offer keeps its shape inside the nearest one."""
    crop = chosen(Box(0, 0, 1664, 2432), 4000, 4000, SQUARE, size=(832, 1216))
    assert (crop.width, crop.height) == (696, 1024)


def test_each_fault_of_a_crop_is_named_with_its_figure() -> None:
    """A cut face, a cut head and a bystander are told apart; a good crop has no warning."""
    look = measurement(
        "1",
        face(box=Box(1000, 1000, 400, 500)),
        face(2, box=Box(2600, 1000, 400, 500)),
        size=(4000, 4000),
    )
    assert concerns(look, 0, Crop(Box(600, 600, 1300, 1300), 1024, 1024), SQUARE) == {}
    cut = concerns(look, 0, Crop(Box(1200, 700, 1300, 1300), 1024, 1024), SQUARE)
    assert cut == {Concern.FACE_CUT: pytest.approx(0.5)}
    tight = concerns(look, 0, Crop(Box(950, 950, 1100, 1100), 1024, 1024), SQUARE)
    assert list(tight) == [Concern.HEAD_CUT]
    both = concerns(look, 0, Crop(Box(600, 100, 2500, 2500), 1024, 1024), SQUARE)
    assert both == {Concern.OTHER_FACE: 1}


def test_our_own_crops_cut_no_face() -> None:
    """The automatic crop passes the check that the user's crops are held to."""
    look = measurement("1", face(box=Box(700, 500, 300, 400)), size=(1600, 4000))
    crop = automatic(look, 0, SQUARE)
    assert crop == frame(look, 0, SQUARE)
    assert Concern.FACE_CUT not in concerns(look, 0, crop, SQUARE)


def test_a_photo_too_small_still_has_a_box_to_start_from() -> None:
    """Kept by the user although too small: the editor opens on the largest possible crop."""
    for size in ((500, 700), (40, 40)):
        look = measurement("1", face(box=Box(10, 10, 20, 20)), size=size)
        crop = automatic(look, 0, SQUARE)
        assert Box(0, 0, *size).contains(crop.box)


def test_the_drawn_box_outlives_every_run() -> None:
    """A run cuts what the user drew, at the training size of that shape; else what we would."""
    look = measurement("1", face(box=Box(700, 500, 300, 400)), size=(3000, 4000))
    assert framed(look, 0, Box(500, 300, 832, 1216), BUCKETS) == Crop(Box(500, 300, 832, 1216), 832, 1216)
    assert framed(look, 0, None, BUCKETS) == frame(look, 0, BUCKETS)
    small = measurement("1", face(box=Box(100, 100, 200, 200)), size=(500, 700))
    kept = framed(small, 0, None, SQUARE)
    assert kept is not None and kept.width == 496


def test_ready_made_framings_go_from_face_to_body() -> None:
    """Face, bust and whole person of one photo, each holding the face, each wider than the last."""
    look = measurement(
        "1",
        face(box=Box(1900, 700, 400, 500)),
        size=(4000, 6000),
        bodies=(body(Box(1200, 500, 1700, 5200)),),
    )
    ready = framings(look, 0, load(resolution=512))
    assert list(ready) == ["face", "bust", "full"]
    areas = [crop.box.area for crop in ready.values()]
    assert areas == sorted(areas)
    assert all(crop.box.contains(look.faces[0].box) for crop in ready.values())
    upright = framings(look, 0, BUCKETS, (832, 1216))
    assert all((crop.width, crop.height) == (832, 1216) for crop in upright.values())
    assert framings(measurement("2", size=(4000, 4000)), None, SQUARE) == {}
