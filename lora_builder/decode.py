"""The only place where a photo is opened: upright sRGB pixels, at the size asked for.

Pillow decides what a file is, by its content, and whether it is let in. EXIF orientation and colour
profiles are applied here, once; every coordinate elsewhere is of the upright picture.
"""

from __future__ import annotations

import datetime
import io
import struct
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
import pyvips
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from lora_builder.errors import UnreadableNow, UnreadablePhoto
from lora_builder.records import Crop, Pixels
from lora_builder.settings import Settings
from lora_builder.traces import saved_again

pillow_heif.register_heif_opener(thumbnails=False)
Image.MAX_IMAGE_PIXELS = None  # our own cap, `max_image_pixels`, is checked before any decoding

Image.init()

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "HEIF", "JPEG2000")
RAW_SUFFIXES = frozenset(
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .raf .orf .rw2 .pef .srw .rwl .3fr .iiq .x3f .erf .kdc "
    ".mrw".split()
)

SMALLEST_SIDE = 16
"""Pixels; below this a file is an icon or a tracking pixel, and the models have nothing to see."""

STANDARD_TABLE_SUM = 3688
"""Sum of the luminance quantisation table of the JPEG standard (ITU T.81, table K.1): quality 50."""

DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, struct.error, OverflowError, MemoryError, EOFError,
    IndexError, KeyError, ZeroDivisionError, AttributeError, NotImplementedError, AssertionError,
    RuntimeError, Image.DecompressionBombError, ImageCms.PyCMSError, pyvips.Error,
)  # fmt: skip
"""What Pillow, its plugins and libvips were seen to raise on damaged files (tests/test_decode.py)."""

NO_MEMORY = "There was not enough memory for this photo."
AGAIN = "Copy it again from where it came."
CONVERT = "Open it in a photo program and save it as JPEG or PNG."
_SRGB = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A photo at analysis size, and what its header says. `width`, `height`: the upright original's.

    `jpeg_quality`: 1..100 as libjpeg counts, guessed from the quantisation table; None for others.
    `saved_again`: see `traces.saved_again`; 0 where the pixels were not decoded at full size.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    captured_at: float | None
    warnings: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    saved_again: float = 0.0


def read_photo(path: Path, max_side: int, settings: Settings) -> Decoded:
    """The whole photo with its longest side at most `max_side`. Raises UnreadablePhoto."""
    with _decoder_errors(), _opened(path, settings) as image:
        notes: list[str] = []
        name = "RAW" if image.info.get("raw") else str(image.format)
        captured = _captured_at(image)
        quality = _jpeg_quality(image)
        turned = _orientation(image) >= 5
        width, height = image.size[::-1] if turned else image.size
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            image.draft(image.mode, (max_side, max_side))
        _load(image)
        again = _saved_again(image, {(width, height), (height, width)})
        flat = _eight_bit(image, settings)
        flat.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        upright = _upright(_to_srgb(flat, image, notes), image)
        return Decoded(np.asarray(upright), width, height, name, captured, tuple(notes), quality, again)


def read_crop(path: Path, crop: Crop, settings: Settings) -> Pixels:
    """The crop, resampled once from the original's pixels. Raises UnreadablePhoto."""
    with _decoder_errors(), _opened(path, settings) as image:
        orientation = _orientation(image)
        left, top, width, height = _stored_box(crop, image.size, orientation)
        size = (crop.height, crop.width) if orientation >= 5 else (crop.width, crop.height)
        notes: list[str] = []
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and not image.info.get("raw"):
            pixels = _vips_crop(path, (left, top, width, height), size)
            part = Image.fromarray(pixels)
        else:
            _load(image)
            part = _eight_bit(image, settings).crop((left, top, left + width, top + height))
            if part.size != size:
                part = part.resize(size, Image.Resampling.LANCZOS)
        return np.asarray(_upright(_to_srgb(part, image, notes), image))


def _vips_crop(path: Path, box: tuple[int, int, int, int], size: tuple[int, int]) -> Pixels:
    """Streams through a JPEG and keeps only the crop: memory does not grow with the picture."""
    picture = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="truncated")
    part = picture.crop(*box)
    if (part.width, part.height) != size:
        part = part.resize(size[0] / part.width, vscale=size[1] / part.height, kernel="lanczos3")
    if (part.width, part.height) != size:
        part = part.crop(0, 0, min(size[0], part.width), min(size[1], part.height))
    if part.bands == 1:
        part = part.bandjoin([part, part])
    result: Pixels = part.numpy()[:, :, :3]
    if result.shape[:2] != size[::-1]:
        result = np.asarray(Image.fromarray(result).resize(size, Image.Resampling.LANCZOS))
    return result


@contextmanager
def _opened(path: Path, settings: Settings) -> Iterator[Image.Image]:
    try:
        image: Image.Image = Image.open(path, formats=FORMATS)
        if path.suffix.lower() in RAW_SUFFIXES and image.format == "TIFF":
            image.close()
            image = _develop(path, settings)
    except UnidentifiedImageError:
        image = _develop(path, settings) if path.suffix.lower() in RAW_SUFFIXES else _unknown(path)
    with image:
        width, height = image.size
        if width * height > settings.max_image_pixels:
            raise UnreadableNow(
                f"The picture claims {width} x {height} pixels, more than the limit of "
                f"{settings.max_image_pixels / 1e6:g} megapixels.",
                "Make it smaller, or raise MAX_IMAGE_PIXELS.",
            )
        if min(width, height) < SMALLEST_SIDE:
            raise UnreadablePhoto(f"The picture is only {width} x {height} pixels.", "Leave it out.")
        yield image


def _jpeg_quality(image: Image.Image) -> int | None:
    """The inverse of libjpeg's scaling of its standard luminance table (jcparam.c)."""
    tables = getattr(image, "quantization", None)
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / STANDARD_TABLE_SUM
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return int(min(max(round(quality), 1), 100))


def _saved_again(image: Image.Image, whole: set[tuple[int, int]]) -> float:
    """Of a loaded JPEG that was not scaled while decoding; twice the analysis size and more is."""
    tables = getattr(image, "quantization", None)
    if not tables or image.mode not in ("RGB", "L") or image.size not in whole:
        return 0.0
    return saved_again(np.asarray(image.convert("L")), tuple(tables[min(tables)]))


def _unknown(path: Path) -> Image.Image:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise UnreadablePhoto("The file is empty.", AGAIN)
    text = head.lstrip()[:5].lower()
    kind = (
        "a web page or drawing"
        if text.startswith((b"<", b"\xef\xbb\xbf<"))
        else "not a photo format known here"
    )
    raise UnreadablePhoto(f"The content is {kind}, whatever the name says.", CONVERT)


def _develop(path: Path, settings: Settings) -> Image.Image:
    """A camera RAW, developed with the camera's own white balance, already upright sRGB."""
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > settings.max_image_pixels:
                raise UnreadableNow("The RAW file has too many pixels.", "Raise MAX_IMAGE_PIXELS.")
            image = Image.fromarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    except rawpy.LibRawError as error:
        raise UnreadablePhoto("The camera RAW file cannot be developed.", CONVERT) from error
    image.info["raw"] = True
    return image


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except OSError as error:
        raise UnreadablePhoto("The file is cut short or damaged.", AGAIN) from error


def _orientation(image: Image.Image) -> int:
    # Pillow's AVIF and TIFF and pillow_heif's HEIF openers turn the pixels themselves.
    if image.format in ("HEIF", "AVIF", "TIFF") or image.info.get("raw"):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DECODER_ERRORS:
        return 1
    return value if value in range(1, 9) else 1


def _upright(part: Image.Image, image: Image.Image) -> Image.Image:
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(_orientation(image))
    return part if method is None else part.transpose(method)


def _stored_box(crop: Crop, stored: tuple[int, int], orientation: int) -> tuple[int, int, int, int]:
    """The crop's box in the file's own, not yet upright, pixels."""
    x, y, w, h = crop.box.rounded()
    width, height = stored
    return {
        1: (x, y, w, h),
        2: (width - x - w, y, w, h),
        3: (width - x - w, height - y - h, w, h),
        4: (x, height - y - h, w, h),
        5: (y, x, h, w),
        6: (y, height - x - w, h, w),
        7: (width - y - h, height - x - w, h, w),
        8: (width - y - h, x, h, w),
    }[orientation]


def _eight_bit(image: Image.Image, settings: Settings) -> Image.Image:
    """RGB, 8 bits: 16-bit and float scaled, palettes opened, alpha laid on the stated colour."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float32)
        top = 65535.0 if image.mode.startswith("I") and values.max() > 255 else max(float(values.max()), 1.0)
        if image.mode == "F" and values.max() <= 1.0:
            top = 1.0
        scaled = np.clip(values / top * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, settings.background)
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.copy() if image.mode in ("RGB", "CMYK") else image.convert("RGB")


def _to_srgb(part: Image.Image, image: Image.Image, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if {"RGB": "RGB", "CMYK": "CMYK"}.get(space) == part.mode:
                converted: Image.Image | None = ImageCms.profileToProfile(
                    part, source, _SRGB, outputMode="RGB"
                )
                if converted is not None:
                    return converted
        except DECODER_ERRORS:
            notes.append("The colour profile is damaged; colours are taken as sRGB.")
    return part.convert("RGB")


def _captured_at(image: Image.Image) -> float | None:
    """EXIF DateTimeOriginal as seconds; the camera's clock has no time zone."""
    try:
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        text = str(exif.get(ExifTags.Base.DateTimeOriginal, "")).strip("\0 ")
        moment = datetime.datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc)
        fraction = str(exif.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\0 ")
        return moment.timestamp() + (float(f"0.{fraction}") if fraction.isdecimal() else 0.0)
    except DECODER_ERRORS:
        return None


@contextmanager
def _decoder_errors() -> Iterator[None]:
    """Whatever a decoder says of a damaged file becomes one sentence."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        try:
            yield
        except UnreadablePhoto:
            raise
        except FileNotFoundError:
            raise
        except MemoryError as error:
            raise UnreadableNow(NO_MEMORY, "Make it smaller, or raise PHOTO_MEMORY_MB.") from error
        except DECODER_ERRORS as error:
            raise UnreadablePhoto("The file is damaged and cannot be decoded.", CONVERT) from error
