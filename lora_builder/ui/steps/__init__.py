"""The six steps of the way, one file each, all of one shape.

A step is a class with the methods of `Step`. The shell calls them in this order: `build` once while
the page is laid out, `wire` once when every component exists, then `words` whenever the language
changes and `show` whenever the step comes into sight or its project changed. Handlers of a step are
methods `(view, *values) -> Updates`, hung on events by `Shell.on`; functions that a component's own
script calls are methods `(view, data) -> JSON`, wrapped by `Shell.serve`. Both get a `View` whose
project is the visitor's own, or the shell has answered in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lora_builder.settings import Settings
from lora_builder.store import Project

if TYPE_CHECKING:
    from lora_builder.ui.desk import Desk
    from lora_builder.ui.shell import Shell

Updates: TypeAlias = dict[Any, Any]
"""New values or properties by component."""

STEPS = ("photos", "people", "choose", "crop", "caption", "export")
"""The names of the steps, in order: in the address (`?step=`), in texts (`step_NAME`), in stamps."""


@dataclass(frozen=True)
class View:
    """Who looks at what: everything a handler needs.

    `owner`: the visitor's token, never empty. `project`: theirs, or None where none is open. `photo`:
    SHA-256 of the photo that the visitor was led to the step for, else empty.
    """

    desk: Desk
    owner: str
    project: Project | None
    language: str
    step: str
    photo: str = ""

    @property
    def theirs(self) -> Project:
        """The open project, in handlers that are only called with one."""
        assert self.project is not None
        return self.project

    @property
    def settings(self) -> Settings:
        """The settings in force for the open project."""
        return self.desk.settings_of(self.theirs) if self.project else self.desk.settings

    @property
    def busy(self) -> bool:
        """Whether a job of the project waits or runs."""
        return self.project is not None and self.desk.busy(self.project)

    def picture(self, sha256: str) -> str:
        """The address of a photo's thumbnail (400 px), for this visitor's eyes only."""
        return self.desk.signer.address("thumb", sha256, self.owner)

    def preview(self, sha256: str) -> str:
        """The address of a photo's preview (1200 px), for this visitor's eyes only."""
        return self.desk.signer.address("preview", sha256, self.owner)


def place(view: View) -> dict[str, Any]:
    """Where a view is, as JSON that scripts send back."""
    return {
        "project": view.project.id if view.project else None,
        "step": view.step,
        "language": view.language,
    }


class Step(Protocol):
    """What the shell asks of a step."""

    name: str

    def build(self, shell: Shell) -> None:
        """Makes the components, in the place where the step is shown."""

    def outputs(self) -> list[Any]:
        """Every component that `words` or `show` may change."""

    def words(self, language: str) -> Updates:
        """The texts that depend on the language alone."""

    def show(self, view: View) -> Updates:
        """What the step shows of the project; also of none, then what to do first."""

    def wire(self, shell: Shell) -> None:
        """Hangs the handlers on the events."""
