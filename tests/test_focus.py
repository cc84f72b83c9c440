from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lora_builder.focus import frame, others_inside
from lora_builder.records import Box
from lora_builder.settings import load
from tests.made import body, face, measurement

SQUARE = load()


def test_a_full_body_is_framed_whole_with_room_above() -> None:
    """Where the picture allows, the crop holds the person from hair to shoes."""
    extent = Box(1400, 800, 900, 2800)
    look = measurement("1", face(box=Box(1750, 900, 200, 260)), size=(4000, 4000), bodies=(body(extent),))
    crop = frame(look, 0, SQUARE)
    assert crop is not None
    assert crop.box.contains(extent)
    assert crop.box.y < 800


def test_what_does_not_fit_is_cut_from_below() -> None:
    """A standing person in an upright picture keeps the head and loses the feet."""
    look = measurement(
        "1", face(box=Box(700, 500, 300, 400)), size=(1600, 4000), bodies=(body(Box(300, 300, 1100, 3600)),)
    )
    crop = frame(look, 0, SQUARE)
    assert crop is not None
    assert crop.box.contains(Box(700, 500, 300, 400))
    assert crop.box.y < 320


def test_small_photos_are_never_enlarged_by_default() -> None:
    """900 pixels cannot become 1024; with leave to enlarge, or to stay small, they can."""
    look = measurement("1", face(box=Box(300, 200, 200, 260)), size=(900, 1400))
    assert frame(look, 0, SQUARE) is None
    enlarged = frame(look, 0, load(max_upscale=1.5))
    assert enlarged is not None and enlarged.width == 1024 and enlarged.box.width >= 1024 / 1.5 - 1
    small = frame(look, 0, load(small_photos="keep"))
    assert small is not None and small.width == small.height == 896 and small.box.width >= 896


def test_a_bystander_is_left_out_by_a_tighter_crop() -> None:
    """The body crop holds a second face; the bust does not, so the bust is taken."""
    look = measurement(
        "1",
        face(box=Box(1000, 600, 400, 500)),
        face(2, box=Box(3000, 600, 400, 500)),
        size=(5000, 4000),
        bodies=(body(Box(400, 300, 3400, 3500)),),
    )
    crop = frame(look, 0, SQUARE)
    assert crop is not None
    assert others_inside(look, 0, crop.box) == 0
    assert crop.box.contains(look.faces[0].box)


def test_a_crop_moves_aside_to_leave_a_bystander_out() -> None:
    """Two people side by side: the crop of one ends where the face of the other begins."""
    subject, other = face(box=Box(700, 300, 300, 400)), face(2, box=Box(1400, 300, 300, 400))
    look = measurement("1", subject, other, size=(2400, 1024))
    crop = frame(look, 0, SQUARE)
    assert crop is not None and crop.width == 1024
    assert others_inside(look, 0, crop.box) == 0 and crop.box.right <= other.box.x
    assert crop.box.contains(subject.box)


def test_a_small_photo_gives_a_smaller_crop_of_one_rather_than_a_larger_of_two() -> None:
    """Where small pictures are welcome, the neighbour is left out down to `min_side`, and no further."""
    subject, other = face(box=Box(300, 100, 120, 160)), face(2, box=Box(520, 100, 120, 160))
    look = measurement("1", subject, other, size=(900, 600))
    crop = frame(look, 0, load(small_photos="keep", min_side=320))
    assert crop is not None and 320 <= crop.width < 600
    assert others_inside(look, 0, crop.box) == 0 and crop.box.contains(subject.box)


def test_the_bucket_fits_the_person() -> None:
    """A standing person takes the upright bucket, a wide scene the wide one."""
    settings = load(buckets=("1024x1024", "832x1216", "1216x832"))
    tall = measurement(
        "1", face(box=Box(950, 400, 150, 200)), size=(2000, 3000), bodies=(body(Box(700, 300, 700, 2400)),)
    )
    wide = measurement(
        "2", face(box=Box(900, 900, 300, 400)), size=(4000, 2400), bodies=(body(Box(300, 600, 3000, 1500)),)
    )
    assert (frame(tall, 0, settings) or 0).width == 832  # type: ignore[union-attr]
    assert (frame(wide, 0, settings) or 0).width == 1216  # type: ignore[union-attr]


@given(
    width=st.integers(400, 9000),
    height=st.integers(400, 9000),
    left=st.floats(-0.1, 0.9),
    top=st.floats(-0.1, 0.9),
    share=st.floats(0.01, 1.0),
    wide=st.floats(0.6, 1.3),
    size=st.sampled_from([("1024x1024",), ("832x1216", "1216x832", "1024x1024"), ("512x512",)]),
    upscale=st.sampled_from([1.0, 2.0]),
    small=st.sampled_from(["drop", "keep"]),
    with_body=st.booleans(),
)
def test_every_crop_keeps_the_promises(
    width: int,
    height: int,
    left: float,
    top: float,
    share: float,
    wide: float,
    size: tuple[str, ...],
    upscale: float,
    small: str,
    with_body: bool,
) -> None:
    """Any picture: the crop lies inside, keeps its shape, never cuts the face, never enlarges too far."""
    box = Box(left * width, top * height, wide * share * width, share * width)
    bodies = (body(box.padded(1, 0.5, 1, 6).clamped(width, height)),) if with_body else ()
    look = measurement("1", face(box=box), size=(width, height), bodies=bodies)
    crop = frame(look, 0, load(buckets=size, max_upscale=upscale, small_photos=small))
    if crop is None:
        return
    picture = Box(0, 0, width, height)
    assert picture.contains(crop.box)
    assert crop.box.contains(box.intersection(picture), slack=1)
    assert abs(crop.box.width / crop.box.height - crop.width / crop.height) < 0.01
    assert crop.width / crop.box.width <= upscale + 0.01
    assert tuple(crop.box) == tuple(round(side) for side in crop.box)
