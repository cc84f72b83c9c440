"""The stages in order: from an input to a project's dataset, resumable and cancellable.

There is no resume code: each stage asks for what is already known (hashes of bytes, measurements in
the store, crops on disk), by a key that names everything its result depends on, and makes the rest.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from lora_builder import edits, measure
from lora_builder.abroad import Item, Result, Work, collected, cut_into, drop_of, sharing_previews, told
from lora_builder.advice import facts_of
from lora_builder.caption.asking import CaptionTask
from lora_builder.caption.records import CaptionEntry
from lora_builder.caption.stage import caption_all, insist, item_of, outcome, tasks_of
from lora_builder.claims import Claim
from lora_builder.crop import SUFFIX, CropTask, crop_tasks, cut
from lora_builder.decide import Evidence, decide, gather, subject_of
from lora_builder.decisions import decision_lines
from lora_builder.errors import BadInput, CaptionsMissing
from lora_builder.export.images import training_images
from lora_builder.export.layouts import chosen as chosen_layouts
from lora_builder.export.package import write_decisions
from lora_builder.export.report import write_report
from lora_builder.export.write import write_exports
from lora_builder.files import locked, swept, writing_to
from lora_builder.focus import more_frames
from lora_builder.framing import chosen, framed
from lora_builder.ingest import identify, list_sources
from lora_builder.looks import held
from lora_builder.models import calibration, loading
from lora_builder.places import Place, keys
from lora_builder.publish import publish
from lora_builder.records import (
    Caption,
    Crop,
    Decision,
    Event,
    Floats,
    Look,
    Measurement,
    Override,
    Photo,
    Rejected,
    Stage,
    Verdict,
)
from lora_builder.resources import check_disk
from lora_builder.resources import look as look_around
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.sums import Sums
from lora_builder.vision_focus import focus_all
from lora_builder.watch import unreadable, watched
from lora_builder.workers import Here, Workers, check, open_workers

ALL = tuple(Stage)
"""Every stage, in order."""

SAVE_EVERY = 16
"""Measurements a transaction: a kill loses at most these, and commits stay rare."""

CACHE = ".cache"
"""Folder in a project's folder for finished crops, by key."""


@dataclass
class _Job:
    """What the stages hand on to each other."""

    store: Store
    project: Project
    settings: Settings
    workers: Workers
    place: Place | None
    """The store that the results go to, None where they stay in the project's folder."""
    claim: Claim
    cancelled: Callable[[], bool]
    photos: list[Photo] = field(default_factory=list)
    problems: list[tuple[str, Rejected]] = field(default_factory=list)
    skipped: Mapping[str, int] = field(default_factory=dict)
    looks: MutableMapping[str, Look] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    references: list[Floats] = field(default_factory=list)
    others: list[Floats] = field(default_factory=list)
    evidence: Evidence | None = None
    people: tuple[int, ...] = ()
    verdicts: list[Verdict] = field(default_factory=list)
    crops: dict[str, Crop] = field(default_factory=dict)
    more: dict[str, dict[str, Crop]] = field(default_factory=dict)
    """Further crops of a photo, by SHA-256 and then by name."""
    cuts: dict[tuple[str, str], CropTask] = field(default_factory=dict)
    """Training images by SHA-256 and the crop's name, which is empty for the main one."""
    captions: dict[str, CaptionEntry] = field(default_factory=dict)
    """By item: the photo's SHA-256, and for a further crop `SHA256/NAME`."""

    def event(
        self, stage: Stage, done: int, total: int, photo: str = "", message: str = "", pixels: int = 0
    ) -> Event:
        check(self.cancelled)
        self.claim.check()
        check_disk(self.settings, self.project.folder, self.settings.data_dir)
        return Event(self.project.name, stage, done, total, photo, message, pixels)

    def told(self, work: Work[Item, Result]) -> Callable[[Item], Result]:
        """A stage's function as the workers need it."""
        return told(work, self.project.folder, self.project.input, self.place, self.settings)

    @property
    def kept(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kept]


def run(
    store: Store,
    project: Project,
    settings: Settings,
    *,
    stages: Collection[Stage] = ALL,
    cancelled: Callable[[], bool] = lambda: False,
    dry_run: bool = False,
) -> Iterator[Event]:
    """Runs the named stages and yields progress; closing the iterator stops the work.

    Without `INGEST` the photos known from the last run are taken as they are. Whatever a named
    stage needs of earlier ones and is not known yet is made. `dry_run` writes no images.
    Raises LoraBuilderError for what the user can mend, Cancelled when `cancelled()` turns true.
    """
    return watched(project.id, _run(store, project, settings, stages, cancelled, dry_run))


def _run(
    store: Store,
    project: Project,
    settings: Settings,
    stages: Collection[Stage],
    cancelled: Callable[[], bool],
    dry_run: bool,
) -> Iterator[Event]:
    chosen_layouts(settings.layouts)  # a misspelt one is refused before the work, not after
    last = max((ALL.index(stage) for stage in stages), default=-1)
    steps: list[tuple[Stage, Callable[[_Job], Iterator[Event]]]] = [
        (Stage.INGEST, _ingest if Stage.INGEST in stages else _recall),
        (Stage.MEASURE, _measure),
        (Stage.DECIDE, _decide),
        (Stage.FOCUS, _focus),
        (Stage.CROP, _crop),
        (Stage.CAPTION, functools.partial(_caption, dry_run=dry_run)),
        (Stage.PACK, functools.partial(_pack, dry_run=dry_run)),
    ]
    place = store.notes.place(project.id)
    settings = sharing_previews(settings, place)
    workers = open_workers(settings, cancelled, keys(project.input, place))
    with swept(settings.data_dir), locked(project.folder), Claim(place) as claim, workers:
        for waiting in claim.take(cancelled):
            yield Event(project.name, Stage.INGEST, 0, 0, message=waiting)
        overrides = store.overrides(project.id)
        job = _Job(store, project, settings, workers, place, claim, cancelled, overrides=overrides)
        for stage, step in steps[: last + 1]:
            if not (dry_run and stage is Stage.CROP):
                yield from step(job)
        if last >= ALL.index(Stage.DECIDE):
            store.save_decisions(project.id, _decisions(job))


def _ingest(job: _Job) -> Iterator[Event]:
    listing = list_sources(job.project.input, job.settings)
    total = len(listing.sources)
    problems = list(listing.problems)
    yield job.event(Stage.INGEST, 0, total, message=str(look_around(job.project.folder)))
    # Bytes that lie elsewhere are read where the work is done.
    away = job.settings.cluster or isinstance(job.project.input, Place)
    workers = job.workers if away else Here(job.cancelled)
    for source, result in workers.each(job.told(identify), listing.sources):
        if isinstance(result, Photo):
            job.photos.append(result)
        else:
            problems.append((source.name, result))
        yield job.event(Stage.INGEST, len(job.photos) + len(problems), total, source.name)
    job.photos.sort(key=lambda photo: photo.source.name)
    job.problems = sorted(problems, key=lambda problem: problem[0])
    job.skipped = listing.skipped
    if not job.photos and not job.problems:
        raise BadInput(
            f"There are no pictures in {job.project.input}.", "Choose a folder or ZIP with photos."
        )
    job.store.save_photos(job.project.id, job.photos, job.problems)
    yield job.event(Stage.INGEST, total, total)


def _recall(job: _Job) -> Iterator[Event]:
    photos, problems = job.store.photos(job.project.id)
    if not photos and not problems:
        raise BadInput(f"Nothing is known about {job.project.name} yet.", "Run `prepare` first.")
    job.photos, job.problems = list(photos), list(problems)
    yield job.event(Stage.INGEST, len(photos), len(photos))


def _measure(job: _Job) -> Iterator[Event]:
    recipe = measure.recipe(job.settings)
    by_content = {photo.sha256: photo for photo in reversed(job.photos)}
    job.looks = job.store.looks(by_content, recipe, held(len(by_content), job.settings.data_dir))
    missing = [photo for sha256, photo in sorted(by_content.items()) if sha256 not in job.looks]
    total = len(by_content)
    yield job.event(Stage.MEASURE, len(job.looks), total)
    batch: dict[str, Look] = {}
    try:
        work, load = job.told(measure.measure), loading(job.settings)
        for photo, look in job.workers.each(work, missing, warm_up=load):
            batch[photo.sha256] = job.looks[photo.sha256] = look
            if isinstance(look, Rejected):
                unreadable(job.project.id, Stage.MEASURE, photo.sha256, look.message)
            if len(batch) >= SAVE_EVERY:
                job.store.save_looks(recipe, batch)
                batch = {}
            pixels = 0 if isinstance(look, Rejected) else look.width * look.height
            yield job.event(Stage.MEASURE, len(job.looks), total, photo.source.name, pixels=pixels)
    finally:
        job.store.save_looks(recipe, batch)
    job.references = [measure.reference(path, job.settings) for path in job.settings.references]
    job.others = [measure.reference(path, job.settings) for path in job.settings.not_references]


def _decide(job: _Job) -> Iterator[Event]:
    total = len(job.photos)
    yield job.event(Stage.DECIDE, 0, total)
    if job.evidence is None:
        job.evidence = gather(job.photos, job.looks)
    job.verdicts = decide(
        job.photos,
        job.looks,
        job.settings,
        calibration(job.settings),
        job.overrides,
        job.references,
        job.others,
        job.evidence,
    )
    job.people = subject_of(
        job.evidence, job.settings, calibration(job.settings), job.overrides, job.references, job.others
    ).found
    yield job.event(Stage.DECIDE, total, total, message=f"{len(job.kept)} kept")


def _focus(job: _Job) -> Iterator[Event]:
    kept = job.kept
    job.crops, job.more = {}, {}
    ask = [v for v in kept if job.overrides.get(v.photo.sha256, Override()).crop is None]
    with closing(focus_all(job.store, job.project.id, ask, job.looks, job.settings, job.cancelled)) as looks:
        for done, look in enumerate(looks):
            if look.crop is not None:
                job.crops[look.sha256] = look.crop
            yield job.event(Stage.FOCUS, min(done, len(kept) - 1), len(kept), look.name, look.message)
    drawn = job.store.finishing.extra_crops(job.project.id)
    for verdict in kept:
        measurement = job.looks[verdict.photo.sha256]
        assert isinstance(measurement, Measurement)
        box = job.overrides.get(verdict.photo.sha256, Override()).crop
        crop = job.crops.get(verdict.photo.sha256) or framed(measurement, verdict.subject, box, job.settings)
        if crop is not None:
            job.crops[verdict.photo.sha256] = crop
            job.more[verdict.photo.sha256] = more_frames(measurement, verdict.subject, job.settings, crop) | {
                extra.name: chosen(extra.box, measurement.width, measurement.height, job.settings)
                for extra in drawn.get(verdict.photo.sha256, ())
            }
    yield job.event(Stage.FOCUS, len(kept), len(kept))


def _crop(job: _Job) -> Iterator[Event]:
    cache = job.project.folder / CACHE / "crops"
    with writing_to(job.project.folder):
        cache.mkdir(parents=True, exist_ok=True)
    sums, drop = Sums(job.project.folder), drop_of(job.place, job.settings)
    while True:
        job.cuts = _tasks(job, cache)
        tasks = list(job.cuts.values())
        missing = [task for task in tasks if not all(path.exists() for path in task.files)]
        failed = 0
        yield job.event(Stage.CROP, len(tasks) - len(missing), len(tasks))
        work = job.told(cut if drop is None else functools.partial(cut_into, drop=drop))
        for done, (task, result) in enumerate(job.workers.each(work, missing), len(tasks) - len(missing) + 1):
            if isinstance(result, Rejected):
                failed += 1
                job.looks[task.photo.sha256] = result
                unreadable(job.project.id, Stage.CROP, task.photo.sha256, result.message)
            else:
                sums.note(result if drop is None else collected(result, drop))
            yield job.event(Stage.CROP, done, len(tasks), task.photo.source.name)
        if not failed:
            break
        # A photo that was measured but cannot be cut is unreadable; what repeated it gets its chance.
        job.evidence = None
        yield from _decide(job)
        yield from _focus(job)
    wanted = {path.name for task in job.cuts.values() for path in task.files}
    for path in cache.iterdir():
        if path.name not in wanted:
            path.unlink(missing_ok=True)
    sums.save()


def _tasks(job: _Job, cache: Path) -> dict[tuple[str, str], CropTask]:
    """Every training image of the kept photos, with its edits."""
    finishing = job.store.finishing
    common = edits.parse(job.settings.recipe, finishing.recipes(job.project.owner or ""))
    own = finishing.edits(job.project.id)
    tasks: dict[tuple[str, str], CropTask] = {}
    for verdict in job.kept:
        sha256 = verdict.photo.sha256
        look = job.looks[sha256]
        if sha256 in job.crops and isinstance(look, Measurement):
            crops = {"": job.crops[sha256], **job.more[sha256]}
            wanted = own.get(sha256, common)
            tasks |= crop_tasks(verdict.photo, look, verdict.subject, crops, wanted, cache, job.settings)
    return tasks


def _caption(job: _Job, dry_run: bool = False) -> Iterator[Event]:
    names = {task.item: task.name for task in _to_caption(job)}
    work = caption_all(
        job.store, job.project.id, list(_to_caption(job)), job.settings, job.cancelled, dry_run
    )
    yield job.event(Stage.CAPTION, 0, len(names))
    with closing(work):
        for result in work:
            name, message = "", ""
            if isinstance(result, str):
                message = result
            else:
                job.captions[result.item], name = result, names[result.item]
            yield job.event(Stage.CAPTION, len(job.captions), len(names), name, message)
    yield job.event(Stage.CAPTION, len(names), len(names), message=outcome(job.captions.values()))


def _to_caption(job: _Job) -> Iterator[CaptionTask]:
    drawn = job.store.finishing.extra_crops(job.project.id)
    files: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for (sha256, name), task in job.cuts.items():
        files[sha256][name] = task.target
    for verdict in job.kept:
        sha256 = verdict.photo.sha256
        look = job.looks[sha256]
        assert isinstance(look, Measurement)
        words = {extra.name: extra.caption for extra in drawn.get(sha256, ())}
        words[""] = job.overrides.get(sha256, Override()).caption
        crops = {"": job.crops.get(sha256), **job.more.get(sha256, {})}
        shot = measure.shot(look, verdict.subject)
        yield from tasks_of(verdict, _as_seen(job, sha256, look), shot, crops, files[sha256], words)


def _as_seen(job: _Job, sha256: str, measurement: Measurement) -> Measurement:
    """The measurement as the training image shows it: mirrored where that is."""
    task = job.cuts.get((sha256, ""))
    return edits.mirrored(measurement) if task is not None and task.edits.mirror else measurement


def _pack(job: _Job, dry_run: bool = False) -> Iterator[Event]:
    yield job.event(Stage.PACK, 0, 1)
    folder, settings = job.project.folder, job.settings
    if not dry_run:
        try:
            absent = insist(job.captions.values(), {t.item: t.name for t in _to_caption(job)}, settings)
        except CaptionsMissing:
            job.store.save_decisions(job.project.id, _decisions(job))
            raise
        job.cuts = {key: cut for key, cut in job.cuts.items() if not absent & {key[0], item_of(*key)}}
    decisions = _decisions(job, images=not dry_run)
    if not dry_run:
        numbers = {line.sha256: Path(line.output).stem for line in decisions if line.output is not None}
        written = {key: job.captions[item_of(*key)] for key in job.cuts}
        captions = {key: Caption(entry.text, entry.author) for key, entry in written.items()}
        entries = training_images(job.cuts, captions, numbers)
        write_exports(folder, entries, decisions, settings)
    write_decisions(folder, decisions)
    write_report(
        folder,
        job.project.name,
        decisions,
        facts_of(job.verdicts, job.looks),
        functools.partial(measure.thumbnail, settings) if settings.report_pictures else lambda sha256: None,
        settings,
        job.skipped,
        job.people,
    )
    if job.place is not None:
        job.claim.insist()
        for done, total, name in publish(folder, job.place):
            yield job.event(Stage.PACK, done, total + 1, name)
    yield job.event(Stage.PACK, 1, 1, message=str(job.place or folder))


def _decisions(job: _Job, images: bool = True) -> list[Decision]:
    """One line an input file; training images are numbered in that order."""
    return decision_lines(
        job.verdicts,
        job.problems,
        job.looks,
        job.crops,
        {sha256 for sha256, name in job.cuts if images and not name},
        job.captions,
        SUFFIX[job.settings.image_format],
    )
