"""Choose: kept and left out side by side, why, and every threshold to move while one looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_builder import vision_focus
from lora_builder.explain import printable, title
from lora_builder.records import Measurement, Override, Reason, Verdict
from lora_builder.ui.bench import Bench
from lora_builder.ui.said import said
from lora_builder.ui.steps import View
from lora_builder.ui.steps.drawn import Drawn, Served
from lora_builder.ui.texts import tr
from lora_builder.ui.verdicts import Editions, controls, panel, rows_of, story, tuned


class Choose(Drawn):
    """One component that draws itself; the server says only what changed."""

    name = "choose"
    frame, scripts = "ldb-choose", ("tiles.js", "zoom.js", "choose.js")
    texts = ("choose_", "cover_")

    def __init__(self) -> None:
        self.editions = Editions()

    def served(self) -> Sequence[Served]:
        return (self.load, self.regroup, self.story, self.tune, self.decide, self.undo)

    def value(self, view: View) -> dict[str, Any]:
        return {**super().value(view), "reasons": [title(reason, view.language) for reason in Reason]}

    # Called by the script

    def load(self, view: View, data: dict[str, Any]) -> Any:
        """All photos and verdicts: what the page draws first."""
        bench = view.desk.bench(view.theirs)
        verdicts, overrides = self._judged(view, bench, {})
        photos = [
            [
                printable(photo.source.name),
                photo.sha256,
                view.picture(photo.sha256) if isinstance(bench.looks[photo.sha256], Measurement) else "",
            ]
            for photo in bench.photos
        ]
        return {
            "photos": photos,
            "problems": [
                [printable(name), said(f"{p.message} {p.remedy}".strip(), view.language)]
                for name, p in bench.problems
            ],
            "controls": controls(view.settings, view.language),
            "panel": panel(bench, verdicts, view.language),
            "depth": view.desk.store.history.depth(view.theirs.id),
            **self.editions.since(None, rows_of(bench, verdicts, overrides)),
        }

    def regroup(self, view: View, data: dict[str, Any]) -> Any:
        """What changes with these settings, which are not kept: a slider is on its way."""
        bench = view.desk.bench(view.theirs)
        verdicts, overrides = self._judged(view, bench, tuned(data.get("settings"), view.settings))
        return self.editions.since(data.get("edition"), rows_of(bench, verdicts, overrides))

    def story(self, view: View, data: dict[str, Any]) -> Any:
        """One photo in words and figures, with the pictures to look at."""
        bench = view.desk.bench(view.theirs)
        at = data.get("photo")
        if not isinstance(at, int) or not 0 <= at < len(bench.photos):
            return {}
        verdict = self._judged(view, bench, tuned(data.get("settings"), view.settings))[0][at]
        doubt = vision_focus.doubts(view.desk.store, view.theirs.id).get(verdict.photo.sha256, "")
        told = story(bench, verdict, view.language)
        if doubt:
            told["warnings"] = [*told["warnings"], tr("focus_doubt", view.language, why=doubt)]
        return {**told, "picture": view.preview(verdict.photo.sha256)}

    def tune(self, view: View, data: dict[str, Any]) -> Any:
        """Keeps settings: the slider was let go."""
        view.desk.set_settings(view.theirs, tuned(data.get("settings"), view.settings))
        return self._now(view, data)

    def decide(self, view: View, data: dict[str, Any]) -> Any:
        """The user's word on some photos: `keep` true, false or null (automatic), or `prefer`."""
        bench = view.desk.bench(view.theirs)
        wanted = [at for at in data.get("photos", []) if isinstance(at, int) and 0 <= at < len(bench.photos)]
        sha256s = sorted({bench.photos[at].sha256 for at in wanted})
        if data.get("prefer"):
            view.desk.changes.prefer(view.theirs, sha256s)
        else:
            keep = data.get("keep")
            view.desk.changes.keep(view.theirs, sha256s, keep if isinstance(keep, bool) else None)
        return self._now(view, data)

    def undo(self, view: View, data: dict[str, Any]) -> Any:
        """Takes the newest change back, or (`redo`) does it again."""
        step = view.desk.changes.redo if data.get("redo") else view.desk.changes.undo
        change = step(view.theirs)
        return {
            **self._now(view, data),
            "label": change.label if change else None,
            "redone": bool(data.get("redo")),
        }

    def _now(self, view: View, data: dict[str, Any]) -> dict[str, Any]:
        bench = view.desk.bench(view.theirs)
        verdicts, overrides = self._judged(view, bench, {})
        return {
            **self.editions.since(data.get("edition"), rows_of(bench, verdicts, overrides)),
            "controls": controls(view.settings, view.language),
            "panel": panel(bench, verdicts, view.language),
            "depth": view.desk.store.history.depth(view.theirs.id),
        }

    def _judged(
        self, view: View, bench: Bench, changes: Mapping[str, Any]
    ) -> tuple[list[Verdict], Mapping[str, Override]]:
        settings = view.settings.model_copy(update=dict(changes))
        overrides = view.desk.store.overrides(view.theirs.id)
        return bench.judge(settings, overrides), overrides
