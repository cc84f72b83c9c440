"""One look at a photo finds what deciding needs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from lora_builder import measure, pixels
from lora_builder.decode import Decoded, read_photo
from lora_builder.ingest import identify
from lora_builder.records import Box, Measurement, Photo, Rejected, Shot, Source
from lora_builder.settings import Settings, load

pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype")

SAMPLE = 10
"""Verified photos measured here, evenly spread; all 163 take half a minute."""


def decoded(image: Image.Image, scale: int = 1) -> Decoded:
    """As if `image` were the analysis picture of an original `scale` times as large."""
    return Decoded(np.asarray(image), image.width * scale, image.height * scale, "PNG", None)


def look(image: Image.Image, settings: Settings, scale: int = 1) -> Measurement:
    return measure.measure_pixels(decoded(image, scale), "0" * 64, settings)


def test_a_portrait_is_measured_whole(settings: Settings, portrait: Image.Image) -> None:
    """One face with everything known about it, one body that is hers, every figure in its range."""
    found = look(portrait, settings)
    assert (found.width, found.height) == portrait.size
    assert 0 <= found.phash < 2**64
    assert found.grey.shape == (64, 64)
    assert 0 < found.exposure.brightness < 1
    assert 0 < found.exposure.contrast < 1
    (face,) = found.faces
    assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
    assert face.grey.shape == (64, 64)
    assert face.eyes_open is not None
    assert face.smile is not None
    assert 0 <= face.eyes_open <= 1
    assert face.smile > 0.5
    (body,) = found.bodies
    assert body.face == 0
    assert body.landmarks.shape == (33, 3)
    assert body.extent.contains(Box(*face.box.center, 0, 0))
    assert Box(0, 0, found.width, found.height).contains(body.extent, slack=1)


def test_measuring_twice_says_the_same(settings: Settings, portrait: Image.Image) -> None:
    """The same pixels give the same figures, bit for bit."""
    one, other = look(portrait, settings), look(portrait, settings)
    assert (one.phash, one.sharpness, one.exposure) == (other.phash, other.sharpness, other.exposure)
    assert (one.grey == other.grey).all()
    assert (one.faces[0].embedding == other.faces[0].embedding).all()
    assert (one.bodies[0].landmarks == other.bodies[0].landmarks).all()


def test_coordinates_are_of_the_original(settings: Settings, portrait: Image.Image) -> None:
    """From an analysis picture of a third, boxes and landmarks come back three times as large."""
    small, large = look(portrait, settings), look(portrait, settings, scale=3)
    assert large.faces[0].box == pytest.approx(small.faces[0].box.scaled(3))
    assert np.allclose(large.faces[0].landmarks, small.faces[0].landmarks * 3)
    assert np.allclose(large.bodies[0].landmarks[:, :2], small.bodies[0].landmarks[:, :2] * 3)
    assert np.allclose(large.bodies[0].landmarks[:, 2], small.bodies[0].landmarks[:, 2])
    assert large.bodies[0].extent == pytest.approx(small.bodies[0].extent.scaled(3))


def test_head_turns_have_the_stated_signs(settings: Settings, portrait: Image.Image) -> None:
    """A picture turned clockwise tilts the head clockwise; a mirrored one turns it the other way."""
    straight = look(portrait, settings).faces[0].pose
    turned = look(portrait.rotate(-20, Image.Resampling.BICUBIC), settings).faces[0].pose
    mirrored = look(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT), settings).faces[0].pose
    assert turned.roll - straight.roll == pytest.approx(20, abs=5)
    assert mirrored.yaw == pytest.approx(-straight.yaw, abs=6)


def test_five_points_tell_a_turned_head() -> None:
    """The nose towards the picture's right edge is a turn to the right; in the middle it is none."""
    marks = np.array([(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)], dtype=np.float32)
    assert measure.pose_of_landmarks(marks).yaw == pytest.approx(0, abs=1)
    assert measure.pose_of_landmarks(marks).roll == pytest.approx(0, abs=1)
    right, up = marks.copy(), marks.copy()
    right[2, 0] += 10
    up[2, 1] -= 8
    assert measure.pose_of_landmarks(right).yaw > 15
    assert measure.pose_of_landmarks(up).pitch > measure.pose_of_landmarks(marks).pitch
    same = np.repeat(marks[:1], 5, axis=0)
    assert np.isfinite([*vars(measure.pose_of_landmarks(same)).values()]).all()


def test_blur_is_seen_and_bokeh_is_not(settings: Settings, portrait: Image.Image) -> None:
    """A blurred photo is less sharp, in the face as a whole; a blurred background costs little."""
    sharp, blurred = look(portrait, settings), look(portrait.filter(ImageFilter.GaussianBlur(4)), settings)
    assert blurred.faces[0].sharpness < 0.5 * sharp.faces[0].sharpness
    assert blurred.sharpness < 0.5 * sharp.sharpness
    bokeh = portrait.filter(ImageFilter.GaussianBlur(8))
    person = tuple(round(v) for v in (100, 0, 380, 400))
    bokeh.paste(portrait.crop(person), person)
    assert look(bokeh, settings).sharpness > 0.7 * sharp.sharpness


def test_a_dark_photo_is_not_called_blurred(settings: Settings, portrait: Image.Image) -> None:
    """Sharpness is relative to contrast: half the light is still sharp."""
    dark = look(ImageEnhance.Brightness(portrait).enhance(0.5), settings)
    assert dark.faces[0].sharpness > 0.8 * look(portrait, settings).faces[0].sharpness
    assert dark.exposure.brightness < 0.6 * look(portrait, settings).exposure.brightness


def test_an_enlarged_face_is_soft(settings: Settings, portrait: Image.Image) -> None:
    """Pixels made up by enlarging do not count as detail."""
    small = portrait.resize((170, 170), Image.Resampling.LANCZOS)
    for image in (small, small.resize((512, 512), Image.Resampling.BICUBIC)):
        assert look(image, settings).faces[0].sharpness < look(portrait, settings).faces[0].sharpness


def test_noise_on_a_flat_wall_is_not_detail() -> None:
    """A nearly flat picture with faint noise is not sharp; a flat one is not sharp at all."""
    noise = np.random.default_rng(0).normal(128, 1, (600, 800)).clip(0, 255).astype(np.uint8)
    edges = cv2.resize((np.indices((30, 40)).sum(0) % 2 * 255).astype(np.uint8), (800, 600), interpolation=0)
    assert pixels.tile_sharpness(noise) < pixels.tile_sharpness(edges)
    assert pixels.tile_sharpness(np.full((600, 800), 7, np.uint8)) == 0


def test_clipping_is_a_share_of_the_photo(settings: Settings) -> None:
    """Half black and half white: half crushed, half blown, and nobody there."""
    image = Image.new("RGB", (400, 400))
    image.paste("white", (0, 0, 200, 400))
    found = look(image, settings)
    assert found.exposure.clipped_dark == pytest.approx(0.5, abs=0.01)
    assert found.exposure.clipped_bright == pytest.approx(0.5, abs=0.01)
    assert found.exposure.brightness == pytest.approx(0.5, abs=0.01)
    assert not found.faces
    assert not found.bodies
    assert measure.shot(found, None) is Shot.NONE


@pytest.mark.parametrize("size", [(16, 16), (16, 1280), (1280, 16), (17, 400)])
def test_odd_shapes_are_measured(settings: Settings, size: tuple[int, int]) -> None:
    """Slivers and icons have nobody in them, and end no run."""
    found = look(Image.effect_noise(size, 60).convert("RGB"), settings)
    assert np.isfinite(found.sharpness)
    assert (found.width, found.height) == size


def test_a_face_at_the_edge_is_measured(settings: Settings, portrait: Image.Image) -> None:
    """A face cut by the picture's edge still gives finite figures."""
    for face in look(portrait.crop((0, 80, 230, 400)), settings).faces:
        assert np.isfinite([face.sharpness, face.brightness, *vars(face.pose).values()]).all()


def test_two_people_have_their_own_bodies(settings: Settings, portrait: Image.Image) -> None:
    """Side by side, each body belongs to one face, and its head lies in that face."""
    pair = Image.new("RGB", (1024, 512))
    pair.paste(portrait, (0, 0))
    pair.paste(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    found = look(pair, settings)
    assert len(found.faces) == 2
    owners = [body.face for body in found.bodies]
    assert owners
    assert len(owners) == len(set(owners))
    for body in found.bodies:
        assert body.face is not None
        x, y, _ = body.landmarks[measure.HEAD_POINTS].mean(axis=0)
        near = found.faces[body.face].box.padded(0.3, 0.3, 0.3, 0.3)
        assert near.contains(Box(float(x), float(y), 0, 0))


def test_without_a_body_model_heads_are_posed_by_landmarks(tmp_path: Path, portrait: Image.Image) -> None:
    """`body_model=none` gives faces and rough poses, no bodies, no expressions."""
    found = look(portrait, load(data_dir=tmp_path, body_model="none"))
    (face,) = found.faces
    assert face.pose == measure.pose_of_landmarks(face.landmarks)
    assert face.eyes_open is None
    assert face.smile is None
    assert not found.bodies


def test_shot_tells_how_much_is_shown(settings: Settings, portrait: Image.Image) -> None:
    """Half a person is a bust, a head that fills the picture a face, no face with a body a back view."""
    found = look(portrait, settings)
    assert measure.shot(found, 0) is Shot.BUST
    x, y, w, h = found.faces[0].box
    close = portrait.crop(tuple(round(v) for v in (x - w / 3, y - h / 3, x + w * 4 / 3, y + h * 4 / 3)))
    assert measure.shot(look(close, settings), 0) is Shot.FACE
    back = replace(found, faces=(), bodies=(replace(found.bodies[0], face=None),))
    assert measure.shot(back, None) is Shot.BACK


def test_preview_is_small_and_says_nothing(settings: Settings, portrait: Image.Image, tmp_path: Path) -> None:
    """Measuring leaves a JPEG within the size asked for, without metadata, and no temporary file."""
    exif = Image.Exif()
    exif[0x010E] = "home address"
    path = tmp_path / "in.jpg"
    portrait.resize((2000, 1500)).save(path, exif=exif)
    photo = identify(Source("in.jpg", path), settings)
    assert isinstance(photo, Photo)
    assert isinstance(measure.measure(photo, settings), Measurement)
    preview = measure.preview_path(settings, photo.sha256)
    with Image.open(preview) as image:
        assert image.format == "JPEG"
        assert max(image.size) == settings.preview_max_side
        assert not image.getexif()
    assert [p.name for p in preview.parent.iterdir()] == [preview.name]


def test_an_unreadable_photo_is_rejected_in_words(settings: Settings, tmp_path: Path) -> None:
    """A lying file becomes a sentence and a remedy, not a traceback; so does one that changed meanwhile."""
    path = tmp_path / "lying.jpg"
    path.write_bytes(b"<html>no photo</html>")
    photo = identify(Source(path.name, path), settings)
    assert isinstance(photo, Photo)
    for look in (
        measure.measure(photo, settings),
        measure.measure(replace(photo, sha256="ef" * 32), settings),
    ):
        assert isinstance(look, Rejected) and look.message and look.remedy


def test_cache_key_names_what_measurements_depend_on(settings: Settings, tmp_path: Path) -> None:
    """Another analysis size, background or model is another recipe; a threshold is not."""
    recipes = {
        measure.recipe(load(data_dir=tmp_path, **change))
        for change in ({}, {"analysis_max_side": 640}, {"background": "#000000"}, {"body_model": "none"})
    }
    assert len(recipes) == 4
    assert measure.recipe(load(data_dir=tmp_path, face_sim_th1=0.6)) == measure.recipe(settings)


def test_the_labelled_face_is_found(settings: Settings, photos_root: Path) -> None:
    """On real photos, one of the faces is the labelled person's."""
    with (photos_root / "people" / "labels.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["target_verified"] == "yes"]
    for row in rows[:: len(rows) // SAMPLE][:SAMPLE]:
        found = measure.measure_pixels(
            read_photo(photos_root / row["path"], 1280, settings), "0" * 64, settings
        )
        wanted = Box.from_corners(*map(float, row["target_face_ltrb_upright"].split(",")))
        overlaps = []
        for face in found.faces:
            common = face.box.intersection(wanted).area
            overlaps.append(common / (face.box.area + wanted.area - common))
        assert max(overlaps, default=0) > 0.3, row["path"]


def test_real_blur_and_shake_are_seen(settings: Settings, photos_root: Path) -> None:
    """A portrait blurred or shaken is less than half as sharp in the face as the same one left alone."""
    folder = photos_root / "bad" / "made"

    def face_sharpness(name: str) -> float:
        found = measure.measure_pixels(read_photo(folder / name, 1280, settings), "0" * 64, settings)
        return max(found.faces, key=lambda face: face.box.area).sharpness

    sharp = face_sharpness("orient_1.jpg")
    for name in ("blur_gauss3.jpg", "blur_gauss8.jpg", "motion31.jpg"):
        assert face_sharpness(name) < 0.5 * sharp
