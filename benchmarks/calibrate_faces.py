"""Where a face model's cosines lie on the common scale of `models.interface.Calibration`.

    python benchmarks/calibrate_faces.py --photos ../shared/photos/people [--face-model yunet-sface]

Reads labels.tsv there (path, identity, target_face_ltrb_upright, target_verified), embeds the
verified face of each photo, and compares all pairs. Copies of one photo are left out: they say
nothing about a person. Prints a table and the tuple to paste as the model's CALIBRATION.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lora_builder.decode import read_photo
from lora_builder.measure import measure_pixels
from lora_builder.models import load_face_model
from lora_builder.models.interface import Calibration
from lora_builder.records import Box, Floats
from lora_builder.settings import Settings, load

SAME_FACE = 0.3
"""Intersection over union of a found and a labelled box from which they are one face."""

COPY = 0.95
"""Cosine of one person's photos above which they are copies of one picture, not two pictures."""


def labelled(root: Path) -> list[tuple[Path, str, Box]]:
    """Photo, person and face box (pixels of the upright original) of each verified label."""
    with (root / "labels.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        (
            root / Path(row["path"]).relative_to(root.name),
            row["identity"],
            Box.from_corners(*map(float, row["target_face_ltrb_upright"].split(","))),
        )
        for row in rows
        if row["target_verified"] == "yes" and row["target_face_ltrb_upright"]
    ]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    common = one.intersection(other).area
    return common / max(one.area + other.area - common, 1e-9)


def embedded(labels: list[tuple[Path, str, Box]], settings: Settings) -> tuple[Floats, list[str]]:
    """Embeddings (n, d) and identities of the labelled faces, found and aligned as measuring does."""
    vectors, names = [], []
    for path, name, box in labels:
        decoded = read_photo(path, settings.analysis_max_side, settings)
        found = measure_pixels(decoded, "", settings).faces
        faces = sorted(found, key=lambda face: -overlap(face.box, box))
        if faces and overlap(faces[0].box, box) > SAME_FACE:
            vectors.append(faces[0].embedding)
            names.append(name)
    return np.array(vectors, dtype=np.float32), names


def cosines(vectors: Floats, names: list[str]) -> tuple[Floats, Floats]:
    """Cosines of same-person pairs and of strangers."""
    everything = vectors @ vectors.T
    same = np.equal.outer(names, names)
    upper = np.triu(np.ones_like(same), 1)
    mine = everything[same & upper]
    return mine[mine < COPY], everything[~same & upper]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--face-model", default="yunet-sface")
    arguments = parser.parse_args()
    root = arguments.photos.resolve()
    with tempfile.TemporaryDirectory() as data:
        settings = load(data_dir=Path(data), face_model=arguments.face_model)
        model = load_face_model(settings)
        labels = labelled(root)
        vectors, names = embedded(labels, settings)
    mine, strangers = cosines(vectors, names)
    anchors = (
        (float(np.median(strangers)), 0.0),
        (float(np.quantile(strangers, 0.999)), 0.5),
        (float(np.median(mine)), 0.75),
        (float(np.quantile(mine, 0.95)), 0.85),
        (1.0, 1.0),
    )
    threshold = anchors[1][0]
    print(f"{model.name} {model.version}: {len(names)} of {len(labels)} labelled faces found")
    print("\n| pairs | count | p1 | p5 | p50 | p95 | p99.9 |\n|---|---|---|---|---|---|---|")
    for title, values in (("one person", mine), ("strangers", strangers)):
        figures = " | ".join(f"{np.quantile(values, q):.3f}" for q in (0.01, 0.05, 0.5, 0.95, 0.999))
        print(f"| {title} | {len(values)} | {figures} |")
    print(
        f"\nAt 0.1% false accepts (cosine {threshold:.3f}), {(mine >= threshold).mean():.1%} of pairs match."
    )
    print(f"In force: {Calibration(model.calibration.anchors).anchors}")
    print("Measured: " + str(tuple((round(cosine, 3), similarity) for cosine, similarity in anchors)))


if __name__ == "__main__":
    main()
