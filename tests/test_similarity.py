from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from lora_builder.similarity import close_hashes, correlated, ssim
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


def test_every_close_pair_is_found_once() -> None:
    """Block by block, the pairs are those of the plain double loop."""
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**63, 50, dtype=np.uint64)
    hashes[10] = hashes[40] ^ np.uint64(7)
    expected = [
        [i, j]
        for i in range(50)
        for j in range(i + 1, 50)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 22
    ]
    assert sorted(close_hashes(hashes, 22, block=7).tolist()) == expected
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors @ vectors.T
    plain = [[i, j] for i in range(40) for j in range(i + 1, 40) if likeness[i, j] >= 0.5]
    assert sorted(correlated(vectors, 0.5, block=9).tolist()) == plain
