from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lora_builder.decode import read_crop, read_photo
from lora_builder.errors import UnreadablePhoto
from lora_builder.records import Box, Crop
from lora_builder.settings import Settings, load

UPRIGHT_TO_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def coded(width: int = 320, height: int = 240) -> Image.Image:
    """Red tells x, green tells y: every pixel says where it is."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    blue = np.full_like(x, 128)
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, blue], 2).astype(np.uint8))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_coordinates_are_of_the_upright_picture(
    tmp_path: Path, settings: Settings, suffix: str, orientation: int
) -> None:
    """Whatever way the camera was held: sizes, pixels and crops are those that people see."""
    upright = coded()
    method = UPRIGHT_TO_STORED[orientation]
    stored = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"photo{suffix}"
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    stored.save(path, exif=exif, **options)
    decoded = read_photo(path, 1000, settings)
    assert (decoded.width, decoded.height) == (320, 240)
    assert np.abs(decoded.pixels.astype(int) - np.asarray(upright)).max() <= 6
    whole = read_crop(path, Crop(Box(40, 30, 160, 80), 160, 80), settings)
    assert np.abs(whole.astype(int) - np.asarray(upright)[30:110, 40:200]).max() <= 6
    half = read_crop(path, Crop(Box(40, 30, 160, 80), 80, 40), settings)
    expected = upright.resize((80, 40), Image.Resampling.LANCZOS, box=(40, 30, 200, 110))
    assert half.shape == (40, 80, 3)
    assert np.abs(half.astype(int) - np.asarray(expected)).max() <= 12


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, settings: Settings) -> None:
    """A 16-bit grey ramp stays a ramp."""
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = read_photo(tmp_path / "ramp.png", 1000, settings).pixels
    assert abs(int(pixels[0, 128, 0]) - 128) <= 1
    assert pixels[0, 0, 0] == 0 and pixels[0, -1, 0] == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_show_the_stated_colour(tmp_path: Path, mode: str) -> None:
    """Alpha is flattened on the background setting, not on whatever lies under it."""
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    if mode == "P":
        picture = Image.new("P", (64, 64), 0)
        picture.putpalette([255, 0, 0] * 256)
        picture.save(tmp_path / "t.png", transparency=0)
    else:
        picture.convert(mode).save(tmp_path / "t.png")
    green = load(background="#00ff00")
    assert tuple(read_photo(tmp_path / "t.png", 64, green).pixels[5, 5]) == (0, 255, 0)


def test_profiles_become_srgb_and_broken_ones_are_survived(
    tmp_path: Path, portrait: Image.Image, settings: Settings
) -> None:
    """A CMYK file, and a damaged profile, still give a picture; the latter with a warning."""
    portrait.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    cmyk = read_photo(tmp_path / "cmyk.jpg", 512, settings).pixels
    assert np.abs(cmyk.astype(int) - np.asarray(portrait)).mean() < 12
    portrait.save(tmp_path / "broken.jpg", icc_profile=b"not a profile at all")
    assert read_photo(tmp_path / "broken.jpg", 512, settings).warnings
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    portrait.save(tmp_path / "srgb.png", icc_profile=srgb)
    same = read_photo(tmp_path / "srgb.png", 512, settings)
    assert not same.warnings and np.abs(same.pixels.astype(int) - np.asarray(portrait)).max() <= 2


def test_bad_files_say_what_is_wrong(tmp_path: Path, portrait: Image.Image, settings: Settings) -> None:
    """Cut short, empty, a web page, too many pixels, too few: each its own sentence with a remedy."""
    portrait.save(tmp_path / "good.jpg")
    data = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>not found</html>")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "dot.png")
    sentences = set()
    for name in ("cut.jpg", "empty.jpg", "page.jpg", "bomb.png", "dot.png"):
        with pytest.raises(UnreadablePhoto) as caught:
            read_photo(tmp_path / name, 1280, settings)
        assert caught.value.remedy
        sentences.add(caught.value.message)
    assert len(sentences) == 5


def test_every_bad_file_is_a_picture_or_a_sentence(photos_root: Path, settings: Settings) -> None:
    """Over all real broken, lying and odd files: pixels, or UnreadablePhoto, and nothing else."""
    read = 0
    for path in sorted((photos_root / "bad").rglob("*")):
        if path.is_file() and path.suffix != ".zip":
            try:
                decoded = read_photo(path, 256, settings)
            except UnreadablePhoto:
                continue
            read += 1
            assert decoded.pixels.ndim == 3 and max(decoded.pixels.shape[:2]) <= 256
    assert read > 300


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_hundred_megapixels_cost_little_memory(photos_root: Path) -> None:
    """Measuring and cutting one 100-megapixel JPEG stays within 350 MB above the idle process."""
    script = """
import resource, sys
from pathlib import Path
from lora_builder.decode import read_crop, read_photo
from lora_builder.records import Box, Crop
from lora_builder.settings import load
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
idle, path = peak(), Path(sys.argv[1])
read_photo(path, 1280, load())
read_crop(path, Crop(Box(1000, 1000, 7000, 7000), 1024, 1024), load())
print(peak() - idle)
"""
    photo = photos_root / "large" / "real_100MP_downscaled.jpg"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script, photo], capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) <= 350
