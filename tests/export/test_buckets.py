"""What each trainer does to a picture, against what the trainers' own functions gave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.base_models import BASE_MODELS, PORTRAIT_SIZES
from lora_builder.export.buckets import RULES, face_fate, fates
from lora_builder.records import Box

SIDE = st.integers(256, 4000)

# Buckets at resolution 1024 from the trainers' own functions, run beside ours on 20,000 sizes (all
# agreed) in November 2026: sd-scripts, musubi-tuner, ai-toolkit (of its wheel), OneTrainer's mgds.
MEASURED = {
    (1024, 1024): ((1024, 1024), (1024, 1024), (1024, 1024), (1024, 1024)),
    (832, 1216): ((832, 1216), (832, 1216), (768, 1152), (832, 1280)),
    (1216, 832): ((1216, 832), (1216, 832), (1152, 768), (1280, 832)),
    (896, 1152): ((896, 1152), (896, 1152), (832, 1088), (896, 1152)),
    (768, 1344): ((768, 1344), (768, 1344), (704, 1216), (768, 1344)),
    (1365, 2048): ((832, 1216), (832, 1248), (832, 1216), (832, 1280)),
    (995, 1865): ((704, 1344), (752, 1392), (704, 1408), (768, 1344)),
    (700, 900): ((640, 896), (688, 896), (640, 832), (896, 1152)),
}
NAMES = ("kohya", "musubi", "ai-toolkit", "onetrainer")


@pytest.mark.parametrize("size", MEASURED)
def test_buckets_are_those_of_the_trainers(size: tuple[int, int]) -> None:
    """The preview tells what really happens, trainer by trainer."""
    for name, bucket in zip(NAMES, MEASURED[size], strict=True):
        assert RULES[name](*size, 1024).bucket == bucket, name


# By SimpleTuner 3.1.6's own function (benchmarks/trainers.py: 3,481 of 3,481 sizes): bucket, scaled.
SIMPLE = {
    (1024, 1024): ((1024, 1024), (1024, 1024)),
    (832, 1216): ((832, 1216), (832, 1216)),
    (1365, 2048): ((832, 1280), (853, 1280)),
    (2048, 1365): ((1280, 832), (1280, 853)),
}


@pytest.mark.parametrize("size", SIMPLE)
def test_simpletuner_scales_before_it_cuts(size: tuple[int, int]) -> None:
    """To the pixel as the trainer does, so the preview's cut is the real one."""
    fate = RULES["simpletuner"](*size, 1024)
    assert (fate.bucket, fate.scaled) == SIMPLE[size]


@pytest.mark.parametrize("name", RULES)
@given(width=SIDE, height=SIDE, resolution=st.sampled_from((512, 768, 1024)))
def test_a_bucket_lies_inside_the_scaled_picture(name: str, width: int, height: int, resolution: int) -> None:
    """Whatever the size: nothing is invented at the edges, the shape is kept, the middle is taken."""
    if not 0.25 <= width / height <= 4:
        return
    fate = RULES[name](width, height, resolution)
    assert fate.bucket[0] <= fate.scaled[0] and fate.bucket[1] <= fate.scaled[1]
    assert fate.scaled[0] / fate.scaled[1] == pytest.approx(width / height, rel=0.02)
    assert 0 <= fate.lost() < 0.75
    assert abs(fate.scaled[0] - fate.bucket[0] - 2 * fate.offset[0]) <= 1
    if name in ("kohya", "musubi"):
        # musubi-tuner's nearest shape may be a little larger than a picture just above the area
        assert fate.enlarged((width, height)) <= (1.001 if name == "kohya" else 1.1), "bucket_no_upscale"


@pytest.mark.parametrize("base", BASE_MODELS)
def test_our_bucket_crops_lose_little_anywhere(base: str) -> None:
    """A crop made for the buckets is hardly cut again, and kohya's trainers take it as it is."""
    for size in PORTRAIT_SIZES:
        assert fates("kohya", base, size)[-1].bucket == size
        for rule in set(RULES) - {"square"}:
            assert fates(rule, base, size)[-1].lost() < 0.07, (rule, size)


def test_a_face_that_is_cut_or_small_is_seen() -> None:
    """diffusers' square crop takes the top off a tall picture, and with it a face that sits there."""
    (fate,) = fates("square", "sdxl", (832, 1216))
    high = face_fate(fate, Box(300, 20, 200, 240), (832, 1216))
    middle = face_fate(fate, Box(300, 500, 200, 240), (832, 1216))
    assert high.cut > 0.3 and middle.cut == pytest.approx(0)
    tiny = face_fate(fate, Box(400, 600, 40, 50), (832, 1216))
    assert tiny.small and not middle.small
    assert middle.cells[0] == pytest.approx(200 * 1024 / 832 / 8)


def test_several_resolutions_are_several_fates() -> None:
    """FLUX is trained at 512, 768 and 1024 where the trainer takes a list, else at 1024 alone."""
    assert [fate.resolution for fate in fates("ai-toolkit", "flux", (1024, 1024))] == [512, 768, 1024]
    assert [fate.resolution for fate in fates("kohya", "flux", (1024, 1024))] == [1024]
