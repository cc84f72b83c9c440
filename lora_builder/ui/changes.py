"""What the user decides about photos: saved at once, one step each, taken back and done again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_builder.grouping import FaceAt
from lora_builder.records import Box, ExtraCrop, Override
from lora_builder.store import Change, Project, Store
from lora_builder.store.notes import SETTINGS

CROP = "crop"
"""Label of changes that the crop editor makes, and alone takes back."""


@dataclass(frozen=True)
class Changes:
    """The user's decisions over the database. Settings are changed by `Desk.set_settings`."""

    store: Store

    def make(self, project: Project, label: str, overrides: Mapping[str, Override | None]) -> None:
        """Saves overrides by SHA-256 (None: back to automatic) as one step that can be undone.

        `label` names the kind of change, as in `keep`, `crop`, `caption`.
        """
        before = self.store.overrides(project.id)
        old = {sha256: before.get(sha256) for sha256 in overrides}
        if old == dict(overrides):
            return
        for sha256, override in overrides.items():
            self.store.set_override(project.id, sha256, override)
        self.store.history.record(project.id, Change(label, old, dict(overrides)))

    def keep(self, project: Project, sha256s: Collection[str], keep: bool | None) -> None:
        """Keeps, drops or (None) leaves to us these photos, whatever else was decided about them."""
        known = self.store.overrides(project.id)
        self.make(
            project,
            "keep",
            {sha: replace(known.get(sha, Override()), keep=keep, prefer=False) for sha in sha256s},
        )

    def prefer(self, project: Project, sha256s: Collection[str]) -> None:
        """Of the photos that repeat each other these stay."""
        known = self.store.overrides(project.id)
        chosen = {sha: replace(known.get(sha, Override()), keep=None, prefer=True) for sha in sha256s}
        self.make(project, "prefer", chosen)

    def set_crop(self, project: Project, sha256: str, box: Box | None) -> None:
        """Remembers the box that the user drew over a photo, or (None) leaves the crop to us."""
        known = self.store.overrides(project.id).get(sha256, Override())
        after = replace(known, crop=box)
        self.make(project, CROP, {sha256: None if after.empty else after})

    def set_extra_crops(self, project: Project, sha256: str, crops: Sequence[ExtraCrop]) -> None:
        """Replaces a photo's further crops; none forgets them."""
        before = self.store.finishing.extra_crops(project.id).get(sha256, ())
        if tuple(crops) == before:
            return
        self.store.finishing.set_extra_crops(project.id, sha256, crops)
        change = Change(CROP, crops_before={sha256: before}, crops_after={sha256: tuple(crops)})
        self.store.history.record(project.id, change)

    def mark_faces(
        self, project: Project, faces: Mapping[FaceAt, bool | None], clear: Collection[FaceAt] = ()
    ) -> None:
        """Says of faces that they are the subject's, are not, or (None) leaves it to us.

        `clear`: faces that lose their mark in the same step.
        """
        known = dict(self.store.overrides(project.id))
        touched: dict[str, Override | None] = {}
        for at, mark in [*((face, None) for face in clear), *faces.items()]:
            before = touched.get(at.sha256) or known.get(at.sha256) or Override()
            touched[at.sha256] = before.marked(at.face, mark)
        self.make(project, "people", {sha: o if o and not o.empty else None for sha, o in touched.items()})

    def undo(self, project: Project) -> Change | None:
        """Takes the newest change back; None where there is none."""
        change = self.store.history.step(project.id, back=True)
        if change is not None:
            self._stand(project, change.before, change.settings_before, change.crops_before)
        return change

    def redo(self, project: Project) -> Change | None:
        """Does the newest undone change again; None where there is none."""
        change = self.store.history.step(project.id, back=False)
        if change is not None:
            self._stand(project, change.after, change.settings_after, change.crops_after)
        return change

    def depth(self, project: Project, label: str) -> tuple[bool, bool]:
        """Whether the next step back, and the next one forward, is a change of that label."""
        back, forward = self.store.history.next(project.id)
        return back == label, forward == label

    def _stand(
        self,
        project: Project,
        overrides: Mapping[str, Override | None],
        settings: Mapping[str, Any] | None,
        crops: Mapping[str, Sequence[ExtraCrop]],
    ) -> None:
        for sha256, override in overrides.items():
            self.store.set_override(project.id, sha256, override)
        if settings is not None:
            self.store.notes.write(project.id, SETTINGS, settings)
        for sha256, drawn in crops.items():
            self.store.finishing.set_extra_crops(project.id, sha256, drawn)
