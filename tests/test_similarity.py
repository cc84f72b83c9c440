from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from lora_builder.figures import MOVING_SKETCH
from lora_builder.similarity import (
    TURNS,
    correlation_shifted,
    lay,
    sketches,
    spectra,
    spectra_turned,
    spectra_unturned,
    ssim,
    ssim_shifted,
    ssim_turned,
)
from tests.made import picture


def test_identical_pictures_are_wholly_alike() -> None:
    """A picture compared with itself, brighter or with less contrast, scores 1."""
    one = picture(1)
    toned = (one * 0.6 + 40).astype(np.uint8)
    assert ssim(np.stack([one, one, toned]), np.array([[0, 1], [0, 2]])).min() > 0.99


def test_our_ssim_ranks_like_the_sliding_window_one(portrait: Image.Image) -> None:
    """Tiling windows give the order that scikit-image's sliding windows give."""
    grey = portrait.convert("L")
    variants = [grey.resize((64, 64))]
    for shift in (2, 8, 20, 40, 70):
        variants.append(grey.crop((shift, 0, 512, 512 - shift)).resize((64, 64)))
    greys = np.stack([np.asarray(v) for v in variants])
    ours = ssim(greys, np.array([[0, i] for i in range(1, 6)]))
    theirs = [structural_similarity(greys[0], greys[i]) for i in range(1, 6)]
    assert list(np.argsort(ours)) == list(np.argsort(theirs))


def test_a_hand_that_moved_is_found_and_undone() -> None:
    """Two frames of one scene, some pixels apart, are alike after the shift; two scenes are not."""
    wide = np.asarray(Image.fromarray(picture(1)).resize((80, 80)))
    frames = [wide[8:72, 8:72], wide[3:67, 14:78], picture(2)]
    shifted = ssim_shifted(frames, np.array([[0, 1], [0, 2]]))
    assert shifted[0] > 0.9 and shifted[1] < 0.5
    assert ssim(frames, np.array([[0, 1]]))[0] < 0.5


def test_sketches_tell_a_moved_hand_from_another_scene() -> None:
    """What is alike after a shift has sketches that correlate, whatever its tone; another scene's do not."""
    wide = np.asarray(Image.fromarray(picture(1)).resize((80, 80)))
    toned = (wide[3:67, 14:78] * 0.6 + 40).astype(np.uint8)
    drawn = sketches([wide[8:72, 8:72], toned, picture(2), np.full((64, 64), 90, np.uint8)], np.arange(4))
    moved, other, flat = correlation_shifted(drawn, np.array([[0, 1], [0, 2], [0, 3]]))
    assert moved > 0.5 and other < MOVING_SKETCH and abs(flat) < MOVING_SKETCH


def test_a_picture_is_known_however_it_is_laid() -> None:
    """Mirrored and rotated copies have the spectrum that is foretold, and score 1 when laid back."""
    one = picture(3)
    for number, turn in enumerate(TURNS):
        other = lay(one, turn)
        known = spectra([one, other, picture(4)])
        assert np.allclose(spectra_turned(known[:1], turn), known[1:2], atol=1e-4)
        unturned = spectra_unturned(known)
        assert unturned[0] @ unturned[1] > 0.99 > unturned[0] @ unturned[2]
        back = [ssim_turned([other, one], np.array([[0, 1]]), np.array([number]))[0]]
        assert max(back) > 0.99
