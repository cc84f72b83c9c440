"""What other tools call duplicates, asked in their own words. Run by `peers.py` in each tool's own
virtual environment, so nothing of ours is imported here:

    PYTHON benchmarks/peer_tools.py TOOL FOLDER

Prints JSON: {setting: [[file, file], ...]}, the default setting first; file names only.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

# mypy: ignore-errors

Links = dict[str, list[tuple[str, str]]]


def imagehash_alone(folder: Path) -> Links:
    """pHash of the whole photo as the file holds it, 6 bits of 64; any stricter or looser."""
    import imagehash
    from PIL import Image

    hashes = {path.name: imagehash.phash(Image.open(path)) for path in sorted(folder.iterdir())}
    pairs = [(a, b, hashes[a] - hashes[b]) for a, b in combinations(hashes, 2)]
    return {
        f"{most} bits": [(a, b) for a, b, bits in pairs if bits <= most] for most in (6, *range(0, 21, 2))
    }


def imagededup_of(method: str, limits: Iterable[int]) -> Callable[[Path], Links]:
    """One of imagededup's hashes; its default is 10 bits."""

    def ask(folder: Path) -> Links:
        from imagededup import methods

        tool = getattr(methods, method)(verbose=False)
        encoded = tool.encode_images(image_dir=str(folder))
        return {
            f"{most} bits": _listed(tool.find_duplicates(encoding_map=encoded, max_distance_threshold=most))
            for most in limits
        }

    return ask


def imagededup_cnn(folder: Path) -> Links:
    """Its network, whose weights come from a server of PyTorch's at the first use."""
    from imagededup.methods import CNN

    tool = CNN(verbose=False)
    encoded = tool.encode_images(image_dir=str(folder))
    return {
        f"cosine {least}": _listed(tool.find_duplicates(encoding_map=encoded, min_similarity_threshold=least))
        for least in (0.9, 0.8, 0.85, 0.95)
    }


def image_dedup_ai(folder: Path) -> Links:
    import image_dedup_ai

    with image_dedup_ai.Index() as index:
        index.add(str(folder))
        return {
            f"{method} {least}": _grouped(index.find_duplicates(threshold=least, method=method).groups)
            for method in ("phash", "dhash", "ahash")
            for least in (0.9, 0.75, 0.8, 0.85, 0.95)
        }


def argus_curator(folder: Path) -> Links:
    """Its filters for size and blur let everything through, so that it judges every photo."""
    from argus_curator import ScanConfig, scan_folder

    found = {}
    for bits in (10, 6, 14):
        open_door = ScanConfig(
            cluster_distance=bits, min_short_side=1, max_aspect_ratio=100, blur_threshold=0
        )
        results = scan_folder(folder, cfg=open_door).results
        kept = {}
        for result in results:
            keeper = result.duplicate_of or result.rel_path
            kept.setdefault(keeper, {keeper}).add(result.rel_path)
        found[f"{bits} bits"] = _grouped(kept.values())
    return found


def czkawka(folder: Path) -> Links:
    from czkawka import ImageSimilarity

    found = {}
    for level in (10, 2, 5, 15, 20, 30):
        finder = ImageSimilarity()
        finder.set_directories([folder])
        finder.set_similarity(level)
        found[f"level {level}"] = _grouped(finder.find_similar())
    return found


def difpy(folder: Path) -> Links:
    import difPy

    built = difPy.build(str(folder), show_progress=False, processes=1)
    found = {}
    for name, error in (("duplicates", 0), ("similar", 5), ("error 50", 50), ("error 200", 200)):
        asked = difPy.search(built, similarity=error, same_dim=False, show_progress=False, processes=1)
        found[name] = [(a, match[0]) for a, matches in asked.result.items() for match in matches]
    return found


def cleanvision(folder: Path) -> Links:
    """Photos with one and the same hash."""
    from cleanvision import Imagelab

    found = {}
    for size in (8, 4, 6):
        lab = Imagelab(data_path=str(folder))
        lab.find_issues({"near_duplicates": {"hash_size": size}, "exact_duplicates": {}}, n_jobs=1)
        found[f"hash of {size}"] = _grouped(lab.info["near_duplicates"]["sets"])
    return found


def fastdup(folder: Path) -> Links:
    import fastdup as tool

    with tempfile.TemporaryDirectory() as place:
        index = tool.create(work_dir=place, input_dir=str(folder))
        index.run(ccthreshold=0.9, threshold=0.7, nearest_neighbors_k=20, num_threads=1)
        table = index.similarity()
    rows = list(zip(table["filename_from"], table["filename_to"], table["distance"], strict=True))
    return {
        f"cosine {least}": [(a, b) for a, b, alike in rows if alike >= least]
        for least in (0.96, 0.8, 0.85, 0.9, 0.94, 0.98)
    }


TOOLS: dict[str, Callable[[Path], Links]] = {
    "imagehash": imagehash_alone,
    "imagededup PHash": imagededup_of("PHash", (10, 2, 4, 6, 8, 12, 14, 16)),
    "imagededup DHash": imagededup_of("DHash", (10, 2, 4, 6, 8, 12, 14, 16)),
    "imagededup WHash": imagededup_of("WHash", (10, 2, 4, 6, 8, 12, 14, 16)),
    "imagededup CNN": imagededup_cnn,
    "image-dedup-ai": image_dedup_ai,
    "argus-curator": argus_curator,
    "czkawka": czkawka,
    "difPy": difpy,
    "cleanvision": cleanvision,
    "fastdup": fastdup,
}


def _listed(neighbours) -> list[tuple[str, str]]:
    return [(a, b) for a, others in neighbours.items() for b in others]


def _grouped(groups) -> list[tuple[str, str]]:
    return [pair for group in groups for pair in combinations(sorted(map(str, group)), 2)]


def main() -> None:
    name, folder = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        found = TOOLS[name](Path(folder))
    plain = {
        setting: sorted({(Path(a).name, Path(b).name) for a, b in links}) for setting, links in found.items()
    }
    print(json.dumps(plain))


if __name__ == "__main__":
    main()
