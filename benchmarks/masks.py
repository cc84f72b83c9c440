"""How well our masks agree with what else is known of a picture. Agreement, not accuracy: nothing here
has masks drawn by people.

    python benchmarks/masks.py --photos ../shared/photos/people [--most 80]

On each photo's training crop: the mask of the subject against MediaPipe's pose model (which segments
the one person it sees, and was trained apart from the one that our mask comes from), against the
subject's face box, the body's landmarks, and the boxes of other people's faces.
Prints the table that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from lora_builder import masks, measure
from lora_builder.crop import in_crop
from lora_builder.decode import read_crop
from lora_builder.framing import framed
from lora_builder.ingest import identify, list_sources
from lora_builder.models.mediapipe_segment import load_segmenter
from lora_builder.records import Box, Floats, Measurement, Photo
from lora_builder.settings import Settings, load

SURE = 0.5
"""From here on a pixel counts as the subject, and a landmark as seen."""


def share(mask: Floats, area: Floats) -> float:
    """How much of `area` the mask holds, 0..1."""
    return float((mask * area).sum() / max(area.sum(), 1.0))


def looked_at(path: Path, most: int, settings: Settings) -> list[tuple[Photo, Measurement]]:
    """The first photos, evenly over the folder, on which somebody's face was found."""
    sources = list_sources(path, settings).sources
    found = []
    for source in sources[:: max(1, len(sources) // most)][:most]:
        photo = identify(source, settings)
        if isinstance(photo, Photo):
            look = measure.measure(photo, settings)
            if isinstance(look, Measurement) and look.faces:
                found.append((photo, look))
    return found


def agreement(photo: Photo, look: Measurement, settings: Settings) -> dict[str, float]:
    """The shares of one photo, by name."""
    subject = max(range(len(look.faces)), key=lambda at: look.faces[at].box.area)
    crop = framed(look, subject, None, settings)
    if crop is None:
        return {}
    pixels = read_crop(photo.source.path, crop, settings)
    frame = Box(0, 0, crop.width, crop.height)
    face = in_crop(look.faces[subject].box, crop)
    others = [in_crop(f.box, crop) for at, f in enumerate(look.faces) if at != subject]
    others = [box for box in others if frame.contains(box)]
    started = time.perf_counter()
    mask = masks.person(pixels, face, others)
    found = {"milliseconds": 1000 * (time.perf_counter() - started)}
    found["face"] = share(mask, masks.ellipse(mask.shape, face))
    pose = load_segmenter().person(pixels, face)
    if pose is not None:
        ours, theirs = mask >= SURE, pose >= SURE
        found["pose"] = float((ours & theirs).sum() / max((ours | theirs).sum(), 1))
    if others:
        found["others"] = max(share(mask, masks.ellipse(mask.shape, box)) for box in others)
    for body in look.bodies:
        if body.face == subject:
            points = [in_crop(Box(x, y, 0, 0), crop) for x, y, seen in body.landmarks if seen >= SURE]
            inside = [
                (round(p.x), round(p.y)) for p in points if 0 <= p.x < crop.width and 0 <= p.y < crop.height
            ]
            inside = [(x, y) for x, y in inside if x < crop.width and y < crop.height]
            if inside:
                found["landmarks"] = float(np.mean([mask[y, x] >= SURE for x, y in inside]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--most", type=int, default=80)
    arguments = parser.parse_args()
    settings = load()
    photos = looked_at(arguments.photos, arguments.most, settings)
    found = [agreement(photo, look, settings) for photo, look in photos]
    names = {
        "face": "share of the face box's ellipse inside the mask",
        "landmarks": "share of the body's visible landmarks inside the mask",
        "pose": "intersection over union with the pose model's own segmentation",
        "others": "share of another person's face inside the mask (the worst one)",
        "milliseconds": "milliseconds a mask",
    }
    print(f"| {len(found)} photos with a face | pictures | worst tenth | median | best tenth |")
    print("|---|---|---|---|---|")
    for name, title in names.items():
        values = [shares[name] for shares in found if name in shares]
        if values:
            low, middle, high = np.percentile(values, [10, 50, 90])
            print(f"| {title} | {len(values)} | {low:.2f} | {middle:.2f} | {high:.2f} |")


if __name__ == "__main__":
    main()
