"""What a run of the app's is: the settings of its project, its stages, and a stamp a finished step.

Nothing here needs Gradio, so a worker on another machine runs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from lora_builder import measure, pipeline
from lora_builder.bell import BrokerBell
from lora_builder.caption.records import USER
from lora_builder.errors import BadInput
from lora_builder.jobs import Jobs, Run
from lora_builder.records import Box, Event, Measurement, Override, Stage
from lora_builder.runner import Runner
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.store.notes import SETTINGS, STAMPS
from lora_builder.ui import outward
from lora_builder.ui.outward import Keys, applied
from lora_builder.ui.quotas import Quotas
from lora_builder.ui.stamps import STAGES_OF, fingerprints
from lora_builder.ui.texts import tr


def jobs_of(
    store: Store,
    settings: Settings,
    keys: Keys | None = None,
    local: bool = False,
    quotas: Quotas | None = None,
) -> Jobs:
    """The queue of the app's runs; `keys` and `quotas` are those of the desk, `local` as there."""

    def at_home(project: Project, stages: Sequence[Stage]) -> bool:
        """A visitor's key is in this process's memory alone, and `localhost` means this machine."""
        chosen = outward.read(store, project)
        return chosen is not None and outward.sends(chosen, stages)

    bell = BrokerBell(settings.redis_url) if settings.redis_url else None
    return Jobs(
        store,
        *_as_the_app_does(store, settings, keys or Keys(), local, quotas),
        here=settings.jobs_in == "app" or (settings.jobs_in == "auto" and bell is None),
        at_home=at_home,
        bell=bell,
        lease_s=settings.job_lease_s,
    )


def runner_of(store: Store, settings: Settings) -> Runner:
    """What runs the app's jobs in a process that serves no page, and holds no visitor's key.

    It counts the megapixels of its own runs alone.
    """
    how = _as_the_app_does(store, settings, Keys(), False, None)
    return Runner(store, *how, lease_s=settings.job_lease_s)


def _as_the_app_does(
    store: Store, settings: Settings, keys: Keys, local: bool, quotas: Quotas | None
) -> tuple[Callable[[Project], Settings], Run]:
    """The settings of a project, and how to run it."""
    counted = quotas or Quotas(settings.address_visitors, settings.all_visitors)

    def of_project(project: Project) -> Settings:
        return settings_of(settings, store, project)

    def sending(project: Project, own: Settings) -> Settings:
        return applied(store, project, own, keys, local)

    def run(
        store: Store, project: Project, settings: Settings, *, stages: Collection[Stage], cancelled: Any
    ) -> Iterator[Event]:
        events = stamped_run(store, project, settings, stages=stages, cancelled=cancelled, sending=sending)
        return within(counted, project.owner or "", settings.visitor_megapixels, events)

    return of_project, run


def within(quotas: Quotas, visitor: str, most: int, events: Generator[Event, None, None]) -> Iterator[Event]:
    """The events of a run, as long as what it measures stays within the visitor's megapixels an hour.

    Raises BadInput then; what was measured is kept, and a later run goes on from there.
    """
    with closing(events):
        for event in events:
            yield event
            if event.pixels and not quotas.spend("megapixels", most, visitor, event.pixels / 1e6):
                raise BadInput(
                    tr("too_many_pixels", "en", most=f"{most:,}"), tr("too_many_pixels_remedy", "en")
                )


def settings_of(settings: Settings, store: Store, project: Project) -> Settings:
    """The app's settings with the project's own on top. Raises BadSettings."""
    own = store.notes.read(project.id, SETTINGS)
    known = {name: value for name, value in own.items() if name in Settings.model_fields}
    return load(**(settings.model_dump() | known)) if known else settings


def stamped_run(
    store: Store,
    project: Project,
    settings: Settings,
    *,
    stages: Collection[Stage],
    cancelled: Any,
    sending: Callable[[Project, Settings], Settings] = lambda project, settings: settings,
) -> Generator[Event, None, None]:
    """`pipeline.run`, which also notes what each finished step was made of.

    `sending` gives the settings of a run that may caption: no stamp sees those, nor does any file.
    """
    if store.notes.read(project.id, "photos").get("finished"):
        first = [stage for stage in stages if stage in (Stage.INGEST, Stage.MEASURE)]
        if first:
            yield from pipeline.run(store, project, settings, stages=first, cancelled=cancelled)
        _keep_whole(store, project, settings)
    now = current_stamps(store, project, settings)
    chosen = outward.read(store, project)
    if outward.sends(chosen, stages):
        settings = sending(project, settings)
    elif chosen is not None:
        # Whoever agreed to their own endpoint did not agree to the machine's.
        settings = settings.model_copy(update={"focus_model": ""})
    seen: list[Stage] = []
    for event in pipeline.run(store, project, settings, stages=stages, cancelled=cancelled):
        if event.stage not in seen:
            seen.append(event.stage)
        yield event
    made = store.notes.read(project.id, STAMPS)
    made |= {step: now[step] for step, needed in STAGES_OF.items() if set(needed) <= set(seen)}
    store.notes.write(project.id, STAMPS, made)


def _keep_whole(store: Store, project: Project, settings: Settings) -> None:
    """Keeps every photo that nothing was decided about, uncut."""
    photos, _ = store.photos(project.id)
    decided = store.overrides(project.id)
    looks = store.looks({photo.sha256 for photo in photos}, measure.recipe(settings))
    for sha256, look in looks.items():
        if sha256 not in decided and isinstance(look, Measurement):
            whole = Box(0, 0, look.width, look.height)
            store.set_override(project.id, sha256, Override(keep=True, crop=whole))


def current_stamps(store: Store, project: Project, settings: Settings) -> dict[str, str]:
    """What each step's result would be made of now."""
    photos = f"{project.input} {store.notes.read(project.id, 'photos').get('added', 0)}"
    overrides = store.overrides(project.id)
    # A run moves the captions of overrides to the others: only both together say what the user wrote.
    written = {sha: " ".join(o.caption.split()) for sha, o in overrides.items() if o.caption}
    captions = store.captions.all(project.id)
    written |= {item: entry.text for item, entry in captions.items() if entry.author == USER}
    chosen = outward.read(store, project)
    writing, looking = chosen.recipe if chosen else (None, None)
    more = {
        "caption": writing,
        "crop": [
            looking or None,
            repr((store.finishing.extra_crops(project.id), store.finishing.edits(project.id))),
        ],
        "export": sorted(written.items()),
    }
    return fingerprints(photos, settings, overrides, more)
