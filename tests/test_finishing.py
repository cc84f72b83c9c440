"""What becomes of a kept photo's pixels by the user's wish: further crops, edits, masks, backdrops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lora_builder import edits, masks, pipeline
from lora_builder.crop import crop_task, cut, in_crop
from lora_builder.errors import BadSettings
from lora_builder.export.packages import read_project, verify
from lora_builder.focus import more_frames
from lora_builder.ingest import identify
from lora_builder.records import Box, Crop, Edits, ExtraCrop, Photo, Source
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from tests.made import body, face, measurement

FACE = Box(170, 70, 110, 140)
"""Eileen Collins's face in scikit-image's portrait, by eye."""


def test_one_large_photo_gives_face_bust_and_body() -> None:
    """A 24-megapixel full-length photo holds three good pictures; each keeps the face whole."""
    look = measurement(
        "1", face(box=Box(1800, 900, 420, 540)), size=(4000, 6000), bodies=(body(Box(1000, 500, 2000, 5200)),)
    )
    settings = load(extra_crops="face,bust,full")
    frames = more_frames(look, 0, settings, None)
    assert list(frames) == ["face", "bust", "full"]
    assert all(crop.box.contains(look.faces[0].box) for crop in frames.values())
    assert frames["face"].box.area < frames["bust"].box.area < frames["full"].box.area
    assert all(crop.box.width >= 1024 for crop in frames.values()), "nothing is blown up"


def test_a_second_crop_that_shows_the_same_is_left_out() -> None:
    """A small photo is one picture, not the same picture three times."""
    look = measurement("1", face(box=Box(400, 300, 300, 380)), size=(1100, 1100))
    settings = load(extra_crops="face,bust,full")
    assert more_frames(look, 0, settings, Crop(Box(30, 0, 1024, 1024), 1024, 1024)) == {}
    back = measurement("2", size=(4000, 4000), bodies=(body(Box(0, 0, 900, 900), None),))
    assert more_frames(back, None, settings, None) == {}


def test_crops_edits_and_recipes_outlive_a_restart(database_url: str, tmp_path: Path) -> None:
    """What the user drew and chose is there again, per project; recipes serve every project."""
    with Store(database_url) as store:
        project = store.project(tmp_path / "a", "a", tmp_path)
        store.finishing.set_extra_crops(project.id, "ab", [ExtraCrop("detail", Box(1, 2, 3, 4), "hands")])
        store.finishing.set_edits(project.id, "ab", Edits(mirror=True))
        store.finishing.save_recipe("mine", Edits(sharpen=0.5))
    with Store(database_url) as store:
        assert store.finishing.extra_crops(project.id)["ab"][0] == ExtraCrop(
            "detail", Box(1, 2, 3, 4), "hands"
        )
        assert store.finishing.edits(project.id) == {"ab": Edits(mirror=True)}
        assert store.finishing.recipes() == {"mine": Edits(sharpen=0.5)}
        assert store.finishing.recipes("somebody else") == {}
        store.finishing.set_extra_crops(project.id, "ab", [])
        store.finishing.save_recipe("mine", None)
        store.delete_project(project.id)
        assert store.finishing.extra_crops(project.id) == store.finishing.edits(project.id) == {}


def test_a_recipe_in_words_is_read_back_from_what_it_writes() -> None:
    """Recipes can be typed, saved and shown; a wrong word is named with what is allowed."""
    wanted = Edits(auto_levels=True, sharpen=0.4, backdrop="#808080", bystanders="blur")
    assert edits.parse(edits.written(wanted)) == wanted
    assert edits.parse("") == Edits() and edits.parse("gentle").auto_levels
    assert edits.parse("mine", {"mine": wanted}) == wanted
    for wrong in ("sharpn=1", "sharpen=2", "backdrop=red", "bystanders=remove", "mirror=maybe"):
        with pytest.raises(BadSettings, match="recipe"):
            edits.parse(wrong)


def test_a_recipe_is_saved_once_and_used_by_name() -> None:
    """The command saves, lists and forgets; a nonsense edit is refused and nothing is saved."""
    import json

    from lora_builder.cli import app, packages

    def run(*arguments: str) -> dict[str, str]:
        done = CliRunner().invoke(app, ["recipes", *arguments, "--json"])
        if done.exception is not None:
            raise done.exception
        return dict(json.loads(done.stdout))

    assert packages.edits.BUILT_IN.keys() == run().keys()
    assert run("--save", "soft=auto_levels,sharpen=0.2")["soft"] == "auto_levels,sharpen=0.2"
    assert "soft" in run()
    with pytest.raises(BadSettings):
        run("--save", "worse=blurr=1")
    with pytest.raises(BadSettings, match="own"):
        run("--save", "gentle=mirror")
    assert "soft" not in run("--forget", "soft")


def test_edits_do_what_they_say(portrait: Image.Image) -> None:
    """Levels reach black and white, a cast goes, sharpening sharpens, mirroring swaps the sides."""
    pixels = np.asarray(portrait)
    flat = (pixels * 0.4 + 70).astype(np.uint8)
    levelled = edits.apply(flat, Edits(auto_levels=True), None, (), None)
    assert np.ptp(levelled) > 240 > np.ptp(flat)
    cast = np.clip(pixels * np.array([1.3, 1.0, 0.7]), 0, 255).astype(np.uint8)
    balanced = edits.apply(cast, Edits(white_balance=True), None, (), None).reshape(-1, 3).mean(0)
    assert np.ptp(balanced) < np.ptp(cast.reshape(-1, 3).mean(0)) / 2
    noisy = np.clip(pixels + np.random.default_rng(1).normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    calm = edits.apply(noisy, Edits(denoise=1.0), None, (), None)
    assert np.abs(calm.astype(int) - pixels).mean() < np.abs(noisy.astype(int) - pixels).mean() * 0.8
    sharp = edits.apply(pixels, Edits(sharpen=1.0), None, (), None)
    assert (
        np.abs(np.diff(sharp.astype(int), axis=1)).mean() > np.abs(np.diff(pixels.astype(int), axis=1)).mean()
    )
    assert np.array_equal(edits.apply(pixels, Edits(mirror=True), None, (), None), pixels[:, ::-1])
    assert np.array_equal(edits.apply(pixels, Edits(), None, (), None), pixels)


def test_the_subject_is_found_and_the_backdrop_goes(portrait: Image.Image) -> None:
    """The face trains, the shuttle behind her does not, and a plain backdrop is the colour asked for."""
    pixels = np.asarray(portrait)
    person = masks.person(pixels, FACE)
    assert person[120:180, 200:250].mean() > 0.9 and person[20:60, 5:60].mean() < 0.2
    plain = masks.with_backdrop(pixels, person, "#00ff00")
    assert np.abs(plain[20:60, 5:60].reshape(-1, 3).mean(0) - (0, 255, 0)).max() < 40
    assert np.abs(plain[130:170, 205:245].astype(int) - pixels[130:170, 205:245]).mean() < 8
    blurred = masks.with_backdrop(pixels, person, "blur")
    assert blurred[20:60, 5:60].std() < pixels[20:60, 5:60].std() + 1


@pytest.mark.parametrize("kind", ["subject", "head", "face"])
def test_a_mask_is_soft_and_never_all_black(kind: str, portrait: Image.Image) -> None:
    """An all-black mask makes a trainer divide by nothing: where nobody is found, all of it trains."""
    person = masks.person(np.asarray(portrait), FACE)
    mask = masks.training_mask(kind, person, FACE, 16)
    assert mask.shape == (512, 512) and mask[140, 225] > 200
    assert len(np.unique(mask)) > 50, "a soft edge has many greys"
    nothing = masks.training_mask(kind, np.zeros((64, 64), np.float32), None, 16)
    assert nothing.min() == 255


def test_narrower_masks_cover_less(portrait: Image.Image) -> None:
    """Face is less than head is less than the whole subject."""
    person = masks.person(np.asarray(portrait), FACE)
    cover = {kind: masks.training_mask(kind, person, FACE, 0).mean() for kind in ("face", "head", "subject")}
    assert cover["face"] < cover["head"] < cover["subject"]


def test_a_bystander_is_blurred_or_excluded_and_the_subject_is_not(portrait: Image.Image) -> None:
    """Nobody else's face is told apart any more; the subject's pixels stay as they were."""
    pixels = np.concatenate([np.asarray(portrait)] * 2, axis=1)
    other = FACE._replace(x=FACE.x + 512)
    hidden = edits.apply(pixels, Edits(bystanders="blur"), FACE, (other,), None)
    assert np.array_equal(hidden[:, :400], pixels[:, :400])
    inside = np.s_[120:180, 712:762]
    assert hidden[inside].std() < pixels[inside].std() * 0.7
    white = np.ones(pixels.shape[:2], np.float32)
    mask = masks.training_mask("subject", white, FACE, 0, (other,))
    assert mask[140, 737] == 0 and mask[140, 225] == 255


def test_the_file_is_named_by_everything_that_made_it(
    tmp_path: Path, portrait: Image.Image, settings: Settings
) -> None:
    """Other edits are another file; the same edits are the same bytes; the mask lies beside it."""
    source = tmp_path / "photo.png"
    portrait.save(source)
    photo = identify(Source("photo.png", source), settings)
    assert isinstance(photo, Photo)
    crop = Crop(Box(100, 0, 400, 400), 400, 400)
    masked = settings.model_copy(update={"mask": "head"})
    tasks = [
        crop_task(photo, crop, tmp_path, settings),
        crop_task(photo, crop, tmp_path, masked),
        crop_task(photo, crop, tmp_path, masked, Edits(mirror=True), FACE, (Box(5000, 0, 9, 9),)),
        crop_task(photo, crop, tmp_path, masked, Edits(backdrop="blur"), FACE),
    ]
    assert tasks[0].target == tasks[1].target and tasks[0].mask is None
    assert len({path for task in tasks[1:] for path in task.files}) == 6
    assert tasks[2].others == (), "who is not in the crop does not matter"
    first, again = [], []
    for result in (first, again):
        for task in tasks[1:]:
            written = cut(task, masked)
            assert isinstance(written, dict) and set(written) == set(task.files)
            result += [path.read_bytes() for path in task.files]
    assert first == again and len(first) == 6
    plain, mirror = (np.asarray(Image.open(task.target)) for task in (tasks[1], tasks[2]))
    assert np.array_equal(plain[:, ::-1], mirror)


def test_a_face_in_the_photo_is_found_in_the_crop() -> None:
    """Boxes follow the crop's offset and scale."""
    assert in_crop(Box(150, 120, 40, 20), Crop(Box(100, 100, 200, 200), 400, 400)) == Box(100, 40, 80, 40)


def test_what_the_user_drew_and_chose_is_in_the_dataset(
    tmp_path: Path, portrait: Image.Image, settings: Settings
) -> None:
    """A drawn crop is one more training image with its own caption; edits and masks are in every layout."""
    (tmp_path / "in").mkdir()
    portrait.resize((2048, 2048)).save(tmp_path / "in" / "a.png")
    chosen = settings.model_copy(
        update={"resolution": 512, "mask": "head", "layouts": ("imagefolder",), "export_as": "folder"}
    )
    with Store(chosen.database) as store:
        project = store.project(tmp_path / "out", "a", tmp_path / "in")
        for _ in pipeline.run(store, project, chosen):
            pass
        (photo,), _ = store.photos(project.id)
        drawn = ExtraCrop("detail", Box(700, 200, 600, 600), "ohwx woman, a detail")
        store.finishing.set_extra_crops(project.id, photo.sha256, [drawn])
        store.finishing.set_edits(project.id, photo.sha256, Edits(mirror=True))
        before = np.asarray(Image.open(tmp_path / "out" / "dataset" / "0001.png"))
        for _ in pipeline.run(store, project, chosen):
            pass
        lines = store.decisions(project.id)
    after = np.asarray(Image.open(tmp_path / "out" / "dataset" / "0001.png"))
    assert np.array_equal(before[:, ::-1], after)
    assert len(lines) == 1 and lines[0].output == "dataset/0001.png"
    assert (tmp_path / "out" / "dataset" / "0001_detail.txt").read_text() == "ohwx woman, a detail"
    assert sorted(p.name for p in (tmp_path / "out" / "masks").glob("*.png")) == [
        "0001.png",
        "0001_detail.png",
    ]
    images = read_project(tmp_path / "out")
    assert [(image.name, image.edits) for image in images] == [("0001", "mirror"), ("0001_detail", "mirror")]
    assert images[0].face is not None and images[0].face.right <= 512
    for path in (tmp_path / "out", tmp_path / "out" / "exports" / "imagefolder"):
        assert verify(path).faults == ()
