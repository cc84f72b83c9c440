"""The vision models that a visitor chose, as a list by priority, and what each did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lora_builder.caption.records import USER, ModelSums
from lora_builder.errors import BadInput
from lora_builder.ui import outward
from lora_builder.ui.editors import captions
from lora_builder.ui.presenters import text
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

Answer = dict[str, Any]


def listed(view: View) -> list[Answer]:
    """The models by priority, for the script."""
    chosen = outward.read(view.desk.store, view.theirs) if view.project else None
    return [asdict(named) | {"host": named.host} for named in (chosen.models if chosen else ())]


def arranged(view: View, sent: Mapping[str, Any]) -> Answer:
    """Saves the list as it was arranged: order, limits, prices, what each is asked for, or fewer."""
    wanted = sent.get("models")
    before = outward.read(view.desk.store, view.theirs)
    if not isinstance(wanted, list) or before is None:
        raise BadInput(tr("edit_bad_page", view.language))
    outward.write(view.desk.store, view.theirs, outward.arranged(before, wanted))
    return {"models": listed(view)}


def pictures(view: View) -> int:
    """How many pictures a run sends at most: all that it keeps, without what the user wrote or locked."""
    known = captions.entries(view)
    if known and view.desk.marks(view.theirs)["choose"] == "done":
        return sum(not entry.locked and entry.author != USER for entry in known.values())
    photos, _ = view.desk.store.photos(view.theirs.id)
    return len(photos) * (1 + len(view.settings.extra_crops))


def sums(view: View) -> str:
    """What each model did for the project, as a table with a line of totals; empty where none was asked."""
    lines = view.desk.store.ledger.sums(view.theirs.id) if view.project else []
    if not lines:
        return ""
    names = ("model", "requests", "pictures", "tokens", "cost", "seconds", "each", "failures")
    head = "".join(f'<th scope="col">{text(tr(f"model_column_{n}", view.language))}</th>' for n in names)
    rows = [_cells(line, view.language) for line in lines]
    if len(lines) > 1:
        rows.append(_cells(_total(lines), view.language))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    title = text(tr("model_sums", view.language))
    return (
        f'<div class="ldb-sums"><table><caption>{title}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _total(lines: list[ModelSums]) -> ModelSums:
    failures: dict[str, int] = {}
    for line in lines:
        for name, count in line.failures.items():
            failures[name] = failures.get(name, 0) + count
    whole = ("requests", "answered", "pictures", "bytes_sent", "tokens_in", "tokens_out", "seconds")
    added = {name: sum(getattr(line, name) for line in lines) for name in whole}
    costs = [line.cost for line in lines if line.cost is not None]
    return ModelSums("", "", "", cost=sum(costs) if costs else None, failures=failures, **added)


def _cells(line: ModelSums, language: str) -> list[str]:
    cost = tr("model_unknown", language) if line.cost is None else f"${line.cost:,.4f}" if line.cost else "$0"
    failures = ", ".join(
        f"{count} {tr(f'model_outcome_{name}', language)}" for name, count in line.failures.items()
    )
    values = (
        f"{line.requests:,}",
        f"{line.pictures:,}",
        f"{line.tokens_in:,} / {line.tokens_out:,}",
        cost,
        f"{line.seconds:,.0f}",
        f"{line.seconds / max(1, line.requests):.1f}",
        failures or "0",
    )
    name = line.model or tr("model_all", language)
    who = f'<th scope="row">{text(name)}<br><small>{text(line.host)}</small></th>'
    return [who, *(f"<td>{text(value)}</td>" for value in values)]
