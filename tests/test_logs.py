"""What the program writes down about itself: useful to whoever runs it, and nobody's secrets."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_builder import logs
from lora_builder.logs import Censor, latest
from lora_builder.metrics import Metrics
from lora_builder.settings import Settings, load

KEY = "ms-0a1b2c3d-marked-key"
PASSWORD = "pg-marked-password"


@pytest.fixture
def marked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Settings]:
    """A log in force, with a marked key and a marked password in the settings."""
    streams = sys.stdout, sys.stderr
    monkeypatch.setenv("HF_TOKEN", "hf_markedtoken0123456789")
    own = load(
        data_dir=settings.data_dir,
        modelscope_token=KEY,
        database_url=f"postgresql://ann:{PASSWORD}@db.example/lora",
    )
    logs.start(own)
    yield own
    sys.stdout, sys.stderr = streams
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler.formatter, logs.JsonLines | logs.Plain):
            logging.getLogger().removeHandler(handler)
            handler.close()


def test_no_secret_reaches_a_log_line_or_the_console(
    marked: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys of the settings, of the environment, and whatever looks like one: masked in every handler."""
    logs.start(marked)  # once more: pytest has put other streams in place since
    log = logging.getLogger("lora_builder.test")
    try:
        raise ValueError(f"401 for {KEY} at postgresql://ann:{PASSWORD}@db.example/lora")
    except ValueError:
        log.exception("Request with Bearer %s failed, token=%s", KEY, "hf_markedtoken0123456789")
    print(f"sk-proj-abcdefghijklmnop and {PASSWORD}", file=sys.stderr)
    print(f"value {KEY}")
    text = "".join(path.read_text() for path in (marked.data_dir / "logs").iterdir()) + "".join(
        capsys.readouterr()
    )
    assert text.count(logs.MASK) >= 6
    for secret in (KEY, PASSWORD, "hf_markedtoken0123456789", "sk-proj-abcdefghijklmnop"):
        assert secret not in text


def test_a_log_line_can_be_searched_by_machines(marked: Settings) -> None:
    """Time, level, project, photo, seconds: fields, not prose."""
    logging.getLogger("lora_builder.test").info(
        "Stage done.", extra={"project": "abc", "photo": "0123456789ab", "seconds": 1.5}
    )
    line = latest(marked)[-1]
    assert line["level"] == "info" and line["message"] == "Stage done."
    assert (line["project"], line["photo"], line["seconds"]) == ("abc", "0123456789ab", 1.5)


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 2] No such file or directory: '/home/ann/private photos/Bea at the lake.jpg'",
        "Cannot write to /home/ann/private photos/lake: No space left.",
        r"cannot open C:\Users\ann\private\x.jpg",
        "Cannot read ~/private/ann.jpg",
        "The run failed: a private lake.jpg was there and is not any more. Connect its drive.",
        "Unreadable: The reference photo private Bea.HEIC cannot be read.",
    ],
)
def test_a_log_names_no_file_of_the_users(text: str) -> None:
    """Who reads the log of a fault need not learn what the photos are called."""
    written = Censor()(text)
    assert (
        "private" not in written and "/ann" not in written and "lake" not in written and "<path>" in written
    )
    assert Censor(paths=True)(text) == text


def test_tracebacks_still_say_where_in_the_code() -> None:
    """A path into our own code is what a fault report needs."""
    written = Censor()(f'  File "{Path(logs.__file__).resolve()}", line 7, in start')
    assert written == '  File "lora_builder/logs.py", line 7, in start'


def test_log_files_turn_over(marked: Settings) -> None:
    """A program that runs for years fills no disk."""
    log = logging.getLogger("lora_builder.test")
    for _ in range(40):
        log.info("x" * 300_000)
    files = list((marked.data_dir / "logs").iterdir())
    assert len(files) <= logs.FILES_A_START
    assert sum(path.stat().st_size for path in files) <= (logs.FILES_A_START + 1) * logs.FILE_BYTES
    for number in range(40):
        (marked.data_dir / "logs" / f"2020-{number}.jsonl").write_text("{}\n")
    logs.start(marked)
    assert len(list((marked.data_dir / "logs").iterdir())) <= logs.FILES


def test_metrics_are_what_prometheus_reads() -> None:
    """Counters with help, type and escaped labels."""
    metrics = Metrics()
    metrics.add("lora_builder_runs_total", state="done")
    metrics.add("lora_builder_runs_total", 2, state='odd "one"')
    lines = metrics.text({("lora_builder_jobs_waiting", ()): 3}).splitlines()
    assert "# TYPE lora_builder_runs_total counter" in lines
    assert 'lora_builder_runs_total{state="done"} 1' in lines
    assert 'lora_builder_runs_total{state="odd \\"one\\""} 2' in lines
    assert lines[-1] == "lora_builder_jobs_waiting 3"


def test_a_broken_last_line_hides_no_other(settings: Settings) -> None:
    """A killed process may leave half a line; the log can still be read."""
    folder = settings.data_dir / "logs"
    folder.mkdir(parents=True)
    (folder / "1.jsonl").write_text(json.dumps({"time": "1", "message": "whole"}) + '\n{"time": "2", "mess')
    assert [line["message"] for line in latest(settings)] == ["whole"]


def test_the_log_narrows_down_to_a_level_and_a_project(marked: Settings) -> None:
    """Whoever looks for what went wrong with one project need not read everybody's."""
    log = logging.getLogger("lora_builder.test")
    log.info("of one", extra={"project": "one-project-"})
    log.warning("of another", extra={"project": "two-project-"})
    log.warning("of nobody")
    said = [line["message"] for line in latest(marked, least="warning")]
    assert "of another" in said and "of nobody" in said and "of one" not in said
    found = latest(marked, project="one-project-and-the-rest-of-its-id")
    assert [line["message"] for line in found] == ["of one"]
    assert latest(marked, project="one-project-", least="error") == []
    assert len(latest(marked, least="no such level")) >= 3


def test_the_lines_about_a_deleted_project_go(marked: Settings) -> None:
    """Of this start and of earlier ones; the others stay, and the log goes on."""
    folder, log = marked.data_dir / "logs", logging.getLogger("lora_builder.test")
    line = json.dumps({"level": "info", "message": "long ago", "project": "gone-project", "photo": "abc"})
    (folder / "20200101-000000-999999999.jsonl").write_text(f"{line}\n{{}}\n")
    log.info("of the one", extra={"project": "gone-project"})
    log.info("of the other", extra={"project": "kept-project"})
    logs.forget(marked, "gone-project-with-the-rest-of-its-id")
    log.info("afterwards")
    said = [line.get("message") for line in latest(marked)]
    assert "of the other" in said and "afterwards" in said
    assert not [path for path in folder.iterdir() if "gone-project" in path.read_text()]
