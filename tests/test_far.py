"""Work and photos beyond this machine: an S3 server and a Dask cluster, both real, on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from lora_builder import pipeline, places
from lora_builder.abroad import Abroad
from lora_builder.doctor import Health, examine
from lora_builder.errors import BadInput, BadSettings, ClusterUnavailable, ClusterUnfit
from lora_builder.jobs import Jobs, State
from lora_builder.places import Location, Place, located
from lora_builder.publish import MANIFEST, publish, work_folder
from lora_builder.records import Event, Photo, Source, Stage
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.store.notes import PLACE
from lora_builder.ui.runs import jobs_of
from lora_builder.workers import Processes
from tests.far_servers import DaskCluster, S3Server, fresh_connection
from tests.runs import wait
from tests.servers import postgresql_programs, postgresql_server, redis
from tests.test_pipeline import digests
from tests.test_shared_queue import worker
from tests.workers.tasks import tell_secrets

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[DaskCluster]:
    """Two workers with a data folder of their own."""
    place = tmp_path_factory.mktemp("dask")
    own = {"LORA_DATA_DIR": str(place / "data"), "LORA_CONFIG": str(place / "absent.toml")}
    with DaskCluster(place, environment=s3.environment | own) as running:
        yield running


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> dict[str, Location]:
    """The test project on the disk and, the same bytes, in the bucket."""
    from skimage.data import astronaut, coffee

    folder = tmp_path_factory.mktemp("photos") / "Eileen"
    (folder / "sub").mkdir(parents=True)
    large = Image.fromarray(astronaut()).resize((900, 900), Image.Resampling.LANCZOS)
    large.save(folder / "original.png")
    large.resize((700, 700)).save(folder / "sub" / "smaller.jpg", quality=80)
    (folder / "broken.jpg").write_bytes((folder / "sub" / "smaller.jpg").read_bytes()[:9000])
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".DS_Store").write_bytes(b"litter")
    picture = io.BytesIO()
    Image.fromarray(coffee()).save(picture, "JPEG")
    with zipfile.ZipFile(folder / "more.zip", "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("inside/coffee.jpg", picture.getvalue())
    far = Place(f"s3://{S3Server.BUCKET}/people/Eileen")
    for path in folder.rglob("*"):
        if path.is_file():
            (far / path.relative_to(folder).as_posix()).put(path)
    return {"disk": folder, "s3": far}


def build(
    source: Location,
    output: Location,
    data: Path,
    seen: Callable[[Event], None] = lambda _: None,
    **more: object,
) -> dict[str, str]:
    """A run of its own; SHA-256 of all that it leaves, by path. `seen` is told each event."""
    settings = load(data_dir=data, resolution=512, body_model="none", trigger="ohwx", **more)
    folder = work_folder(output, settings) if isinstance(output, Place) else output
    with Store(settings.database) as store:
        project = store.project(folder, "Eileen", source)
        if isinstance(output, Place):
            store.notes.write(project.id, PLACE, {"url": str(output)})
        for event in pipeline.run(store, project, settings):
            seen(event)
    if isinstance(output, Path):
        return digests(output)
    left = {file.inside: b"".join(file.place.chunks()) for file in output.files()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in left.items()}


@pytest.fixture(scope="module")
def expected(photos: dict[str, Location], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run on this machine's disk with two processes leaves."""
    place = tmp_path_factory.mktemp("expected")
    result = build(photos["disk"], place / "out", place / "data", workers=2)
    lines = [json.loads(line) for line in (place / "out" / "decisions.jsonl").read_text().splitlines()]
    assert [(line["source"], line["reason"]) for line in lines] == [
        ("broken.jpg", "unreadable"),
        ("more.zip/inside/coffee.jpg", "no_person"),
        ("original.png", "kept"),
        ("sub/smaller.jpg", "near_duplicate"),
    ]
    return result


def test_photos_and_results_in_s3_give_the_same_bytes(
    photos: dict[str, Location], expected: dict[str, str], tmp_path: Path
) -> None:
    """Decisions, pictures, captions, report, manifest and ZIP: as from a folder to a folder."""
    sets = Place(f"s3://{S3Server.BUCKET}/local sets/Eileen")
    assert build(photos["s3"], sets, tmp_path / "data", workers=1) == expected


def test_a_cluster_on_a_shared_disk_gives_the_same_bytes(
    photos: dict[str, Location], expected: dict[str, str], cluster: DaskCluster, tmp_path: Path
) -> None:
    """Dask's workers read and write the very folders."""
    made = build(photos["disk"], tmp_path / "out", tmp_path / "data", cluster=cluster.address)
    assert made == expected


def test_a_cluster_with_s3_gives_the_same_bytes(
    photos: dict[str, Location], expected: dict[str, str], cluster: DaskCluster, tmp_path: Path
) -> None:
    """Nothing is shared but the bucket; no photo comes to this machine, and nothing is left on the way."""
    sets = Place(f"s3://{S3Server.BUCKET}/cluster sets/Eileen")
    made = build(photos["s3"], sets, tmp_path / "data", cluster=cluster.address)
    ours = {name: digest for name, digest in made.items() if not name.startswith(".")}
    assert ours == expected
    assert {name.split("/")[1] for name in made if name.startswith(".")} == {"previews"}
    assert not list((tmp_path / "data" / "scratch").rglob("*.jpg"))
    left = [path for path in (cluster.place / "data").rglob("*") if path.suffix in (".jpg", ".png")]
    assert left == []


def test_every_service_at_once_gives_the_same_bytes(
    photos: dict[str, Location], expected: dict[str, str], cluster: DaskCluster, tmp_path: Path
) -> None:
    """Asked for here, rung by Redis, queued in PostgreSQL, run by a `worker` on Dask, from and to S3."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    sets = Place(f"s3://{S3Server.BUCKET}/team sets/Eileen")
    with postgresql_server(programs) as database, redis(tmp_path / "redis") as broker:
        settings = load(
            data_dir=tmp_path / "data", database_url=f"{database.url}/postgres", redis_url=broker.url
        )
        recipe = ["resolution=512", "body_model=none", "trigger=ohwx", f"cluster={cluster.address}"]
        more = [word for pair in recipe for word in ("--set", pair)]
        with Store(settings.database) as store, worker(settings, *more) as theirs:
            project = store.project(work_folder(sets, settings), "Eileen", photos["s3"])
            store.notes.write(project.id, PLACE, {"url": str(sets)})
            jobs = jobs_of(store, settings)
            id = jobs.start(project)
            last = wait(jobs, id, seconds=60)
            job = store.queue.find(id)
            jobs.close()
        assert (last.state, last.error) == (State.DONE, "")
        assert job is not None and f":{theirs.pid}:" in job.worker and job.tries == 1
    assert ours_in(sets) == expected


def ours_in(sets: Place) -> dict[str, str]:
    """SHA-256 of what is meant for the user, by path."""
    left = {file.inside: b"".join(file.place.chunks()) for file in sets.files()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in left.items() if name[0] != "."}


def test_a_run_outlives_its_scheduler(
    photos: dict[str, Location], expected: dict[str, str], tmp_path: Path
) -> None:
    """A scheduler that dies in mid-job ends the run in a sentence; with another one it goes on from there."""
    struck: list[Event] = []

    def strike(event: Event) -> None:
        if event.stage is Stage.MEASURE and event.done and not struck:
            struck.append(event)
            cluster.scheduler.kill()

    out, data = tmp_path / "out", tmp_path / "data"
    with (
        DaskCluster(tmp_path) as cluster,
        pytest.raises(ClusterUnavailable, match="not there any more") as lost,
    ):
        build(photos["disk"], out, data, strike, cluster=cluster.address)
    assert "what was done is kept" in lost.value.remedy and struck
    measured: list[int] = []

    def count(event: Event) -> None:
        if event.stage is Stage.MEASURE:
            measured.append(event.done)

    with DaskCluster(tmp_path) as another:
        assert build(photos["disk"], out, data, count, cluster=another.address) == expected
    assert measured[0] >= 1, "what the first run measured is known"


def test_a_job_of_the_queue_outlives_its_scheduler(
    photos: dict[str, Location], expected: dict[str, str], tmp_path: Path
) -> None:
    """It says what it waits for; when the cluster is back it goes on by itself from where it was."""
    settings = load(data_dir=tmp_path / "data", resolution=512, body_model="none", trigger="ohwx")
    measured: list[int] = []
    struck: list[Event] = []
    with DaskCluster(tmp_path) as cluster, Store(settings.database) as store:

        def run(store: Store, project: Project, settings: Settings, **how: Any) -> Iterator[Event]:
            for event in pipeline.run(store, project, settings, **how):
                if event.stage is Stage.MEASURE and struck:
                    measured.append(event.done)
                elif event.stage is Stage.MEASURE and event.done:
                    struck.append(event)
                    cluster.close()
                yield event

        jobs = Jobs(store, lambda _: settings.model_copy(update={"cluster": cluster.address}), run)
        id = jobs.start(store.project(tmp_path / "out", "Eileen", photos["disk"]))
        waits = wait(jobs, id, lambda job: job.state is State.QUEUED and bool(job.error), 60)
        assert cluster.address in waits.error
        cluster.start()
        last = wait(jobs, id, seconds=120)
        jobs.close()
    assert (last.state, last.error) == (State.DONE, "")
    assert measured[0] >= 1, "what the first try measured is known"
    assert digests(tmp_path / "out") == expected


def test_the_doctor_gives_a_cluster_something_to_do(cluster: DaskCluster, tmp_path: Path) -> None:
    """A scheduler that answers is not enough: a worker of this very version must come back."""
    finding = next(
        f for f in examine(load(data_dir=tmp_path, cluster=cluster.address)) if f.name == "cluster"
    )
    assert finding.health is Health.OK


def test_a_store_that_refuses_is_told_in_plain_words(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the remedy, for what is not there, for credentials, and for a lost network."""
    with pytest.raises(BadInput, match=r"There is no s3://photos/absent\.jpg"):
        list(Place("s3://photos/absent.jpg").chunks())
    with pytest.raises(BadInput, match=r"no such bucket|There is no"):
        Place("s3://no-such-bucket/a.jpg").read(0, 10)
    with pytest.raises(BadInput, match="no such bucket"):
        Place("s3://no-such-bucket/people").files()
    with pytest.raises(BadInput, match="no address"):
        Place("s3://no bucket/people").files()
    with pytest.raises(BadInput, match="cannot be reached"), places.reaching(Place("hf://a"), BadInput):
        raise httpx2.ConnectError("Name or service not known")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fresh_connection()
    with pytest.raises(BadInput, match="cannot be reached") as lost:
        Place("s3://photos/a.jpg").size()
    assert "network" in lost.value.remedy
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fresh_connection()
    with pytest.raises(BadInput, match="does not let us in") as refused:
        Place("s3://photos/a.jpg").size()
    assert "AWS_ACCESS_KEY_ID" in refused.value.remedy
    monkeypatch.undo()
    os.environ.update(s3.environment)
    fresh_connection()


def test_a_library_that_is_missing_or_a_scheme_that_nobody_knows_is_told() -> None:
    """With the command that installs it."""
    with pytest.raises(BadSettings, match="no store"):
        Place("nonsense://a/b").files()
    with pytest.raises(BadSettings, match="push"):
        work_folder(Place("hf://datasets/ann/set"), load())


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def held(place: Place) -> dict[str, str]:
    return {file.inside: b"".join(file.place.chunks()).decode() for file in place.files()}


def test_publishing_sends_what_changed_and_takes_away_what_went(tmp_path: Path) -> None:
    """The store holds exactly our files, and what others put there."""
    place = Place(f"memory://{tmp_path.name}/set")
    folder = tmp_path / "set"
    written(folder, {"dataset/1.txt": "one", "dataset/2.txt": "two", MANIFEST: "{}", ".lock": ""})
    assert [name for *_, name in publish(folder, place)] == ["dataset/1.txt", "dataset/2.txt", MANIFEST]
    (place / "dataset/theirs.txt").write(b"theirs")
    assert list(publish(folder, place)) == []
    written(folder, {"dataset/1.txt": "uno"})
    (folder / "dataset/2.txt").unlink()
    assert [name for *_, name in publish(folder, place)] == ["dataset/1.txt", "dataset/2.txt", MANIFEST]
    assert held(place) == {"dataset/1.txt": "uno", "dataset/theirs.txt": "theirs", MANIFEST: "{}"}


def test_a_set_that_is_half_sent_has_no_manifest(tmp_path: Path) -> None:
    """Whoever reads it in between can tell; the next run finishes it, from another machine too."""
    place = Place(f"memory://{tmp_path.name}/half")
    folder = tmp_path / "set"
    written(folder, {"1.txt": "one", "2.txt": "two", MANIFEST: "{}"})
    list(publish(folder, place))
    written(folder, {"1.txt": "uno"})
    sending = publish(folder, place)
    next(sending)
    sending.close()  # type: ignore[attr-defined]
    assert MANIFEST not in held(place)
    elsewhere = tmp_path / "elsewhere"
    written(elsewhere, {"1.txt": "uno", "2.txt": "two", MANIFEST: "{}"})
    list(publish(elsewhere, place))
    assert held(place) == {"1.txt": "uno", "2.txt": "two", MANIFEST: "{}"}


def look(photo: Photo, *, settings: Settings) -> Path:
    return settings.data_dir


def test_a_worker_works_in_its_own_folders_and_sees_ours(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data folder is its own; a folder of ours that it does not see is named, not guessed about."""
    monkeypatch.setenv("LORA_DATA_DIR", str(tmp_path / "theirs"))
    photo = Photo(Source("a.jpg", tmp_path / "a.jpg"), "0" * 64, 1)
    assert Abroad(look, settings, (tmp_path,))(photo) == tmp_path / "theirs"
    with pytest.raises(ClusterUnfit, match=r"does not see .*absent"):
        Abroad(look, settings, (tmp_path / "absent",))(photo)


def test_workers_keep_the_keys_of_the_photos_store_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads from S3 needs its key; whoever reads a folder gets none."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "marked-s3")
    monkeypatch.setenv("OPENAI_API_KEY", "marked-openai")
    for location, seen in (("s3://bucket/a", ["marked-s3"]), ("/photos", [])):
        with Processes(1, 20, keys=places.keys(located(location))) as workers:
            assert dict(workers.each(tell_secrets, [1])) == {1: seen}
