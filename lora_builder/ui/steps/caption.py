"""Caption: what the text beside each training picture says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_builder.errors import BadInput
from lora_builder.ui.editors import captions
from lora_builder.ui.editors.captions import Answer
from lora_builder.ui.editors.sent import LONGEST, names_of, text_of
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.steps.drawn import Drawn, Served
from lora_builder.ui.steps.endpoints import Endpoints
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Caption(Drawn):
    """The captions beside their pictures, in a table."""

    name = "caption"
    frame, scripts = "ldb-editor ldb-captions", ("editor.js", "caption.js")
    styles, texts = ("editor.css", "caption.css"), ("caption_", "edit_")

    def __init__(self) -> None:
        self.visits = itertools.count()
        self.endpoints = Endpoints()

    def served(self) -> Sequence[Served]:
        return (
            self.open_captions, self.audit_captions, self.save_captions, self.preview_change,
            self.apply_change, self.apply_cure, self.undo_change, self.lock_captions, self.history_of,
            self.revert_to, self.import_captions, self.export_captions,
        )  # fmt: skip

    def build(self, shell: Shell) -> None:
        self.endpoints.build(shell)
        super().build(shell)

    def outputs(self) -> list[Any]:
        return [*super().outputs(), *self.endpoints.outputs()]

    def words(self, language: str) -> Updates:
        return self.endpoints.words(language)

    def value(self, view: View) -> dict[str, Any]:
        # The visit makes the value another one, so that the script looks again at every visit.
        return {**super().value(view), "visit": next(self.visits)}

    def show(self, view: View) -> Updates:
        return {**super().show(view), **self.endpoints.show(view)}

    def wire(self, shell: Shell) -> None:
        super().wire(shell)
        self.endpoints.wire(shell)
        shell.on(self.body.rewrite, self.rewrite, [], shell.everything(), detail=True)

    def rewrite(self, view: View, sent: dict[str, Any]) -> Updates:
        """Writes captions anew, by whoever writes them now."""
        view.desk.may_run(view.theirs, "caption")  # before anything is forgotten
        if captions.forget(view, names_of(view, sent, "items")):
            view.desk.run(view.theirs, "caption")
        return self.shell.at(view)

    # For the script

    def open_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """All rows, and the names that the captions call the person by."""
        rows = captions.rows(view, captions.entries(view))
        settings = view.settings
        return {"rows": rows, "trigger": settings.trigger, "class_word": settings.class_word}

    def audit_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """Findings with their cures, and the words that most captions say."""
        return captions.findings(view)

    def save_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """Saves `texts`, by item; `batch` takes them back."""
        texts = sent.get("texts")
        if not isinstance(texts, dict):
            raise BadInput(tr("edit_bad_page", view.language))
        return captions.save(view, {item: text_of(view, texts, item, LONGEST) for item in texts})

    def preview_change(self, view: View, sent: dict[str, Any]) -> Answer:
        """What an `operation` on `items` would change."""
        return captions.shown(captions.preview(view, sent))

    def apply_change(self, view: View, sent: dict[str, Any]) -> Answer:
        """Does it."""
        seen = captions.preview(view, sent)
        return captions.save(view, {change.item: change.after for change in seen.changes})

    def apply_cure(self, view: View, sent: dict[str, Any]) -> Answer:
        """Cures a finding."""
        return captions.save(view, captions.cured(view, sent))

    def undo_change(self, view: View, sent: dict[str, Any]) -> Answer:
        """Takes back a batch, except where it was changed again since; the rows."""
        batch = text_of(view, sent, "batch", 64)
        undone = view.desk.store.captions.undo(view.theirs.id, batch) if batch else []
        return {"rows": captions.changed(view, undone)}

    def lock_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """Locks or unlocks `items`; the rows."""
        return {"rows": captions.lock(view, names_of(view, sent, "items"), sent.get("locked") is True)}

    def history_of(self, view: View, sent: dict[str, Any]) -> Answer:
        """Every text that an item ever had, newest first."""
        return {"versions": captions.history(view, text_of(view, sent, "item", 200))}

    def revert_to(self, view: View, sent: dict[str, Any]) -> Answer:
        """Brings a version back as the user's choice; `batch` takes that back again."""
        item = text_of(view, sent, "item", 200)
        versions = captions.history(view, item)
        text = next((version["text"] for version in versions if version["id"] == sent.get("id")), "")
        return captions.save(view, {item: text})

    def import_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """What imported `files` would change; `save_captions` with its `texts` does it."""
        return captions.incoming(view, sent)

    def export_captions(self, view: View, sent: dict[str, Any]) -> Answer:
        """A file with all captions, `csv` or `zip`."""
        return captions.outgoing(view, text_of(view, sent, "kind", 8))
