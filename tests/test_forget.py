"""Old projects can be cleared away without touching a dataset."""

from __future__ import annotations

import os
import time
from pathlib import Path

from typer.testing import CliRunner

from lora_builder import measure
from lora_builder.cli import app
from lora_builder.records import Photo, Source
from lora_builder.settings import load
from lora_builder.store import Store
from tests.made import face, measurement

OLD, SHARED, NEW = "a" * 64, "b" * 64, "c" * 64


def test_old_projects_are_forgotten_and_their_datasets_stay(tmp_path: Path) -> None:
    """Rows, previews and measurements of photos that nobody else has go; files of the user's stay."""
    settings = load()
    with Store(settings.database) as store:
        for name, contents in (("old", (OLD, SHARED)), ("new", (SHARED, NEW))):
            project = store.project(tmp_path / name, name, tmp_path)
            photos = [Photo(Source(sha, tmp_path / sha, None), sha, 5) for sha in contents]
            store.save_photos(project.id, photos, [])
            project.folder.mkdir()
            (project.folder / "decisions.jsonl").write_text("{}")
        store.save_looks("r", {sha: measurement(sha, face(1)) for sha in (OLD, SHARED, NEW)})
        with store._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE projects SET created_at = 0")
    preview = measure.preview_path(settings, OLD)
    preview.parent.mkdir(parents=True)
    preview.write_bytes(b"x")
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(tmp_path / "old" / "decisions.jsonl", (long_ago, long_ago))
    command = ["forget", "--unused-days", "90"]
    assert CliRunner().invoke(app, [*command, "--dry-run"]).exit_code == 0
    with Store(settings.database) as store:
        assert len(store.projects()) == 2
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and str(tmp_path / "old") in result.output
    with Store(settings.database) as store:
        assert [project.name for project in store.projects()] == ["new"]
        assert set(store.looks([OLD, SHARED, NEW], "r")) == {SHARED, NEW}
    assert not preview.exists() and (tmp_path / "old" / "decisions.jsonl").exists()
