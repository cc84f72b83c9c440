"""Fixtures make photos, not mocks."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image

import lora_builder  # noqa: F401  (sets the environment that keeps libraries silent)
from lora_builder.settings import Settings, load
from tests.far_servers import S3Server, fresh_connection
from tests.servers import postgresql, postgresql_programs

SHARED_PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "photos"

WAITING = (
    "caption/test_stage.py",
    "test_claims.py",
    "test_far.py",
    "test_jobs.py",
    "test_kills.py",
    "test_queue.py",
    "test_shared_queue.py",
    "workers/test_cluster.py",
    "workers/test_processes.py",
)
"""Modules whose tests wait for servers and for processes of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a browser, a server or a process gets a second try: a machine may stall for seconds."""
    for item in items:
        if item.get_closest_marker("browser") or item.path.as_posix().endswith(WAITING):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def photos_root() -> Path:
    """Real photos with ground truth; they are not in the repository."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("../shared/photos is not here")
    return SHARED_PHOTOS


@pytest.fixture(autouse=True)
def _only_our_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the developer's own configuration."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LORA_CONFIG", str(tmp_path / "absent.toml"))
    monkeypatch.setenv("LORA_DATA_DIR", str(tmp_path / "data"))
    os.environ.pop("LORA_PROJECT", None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults, with a data folder of the test's own."""
    return load(data_dir=tmp_path / "data", workers=1)


@pytest.fixture
def portrait() -> Image.Image:
    """A real portrait that may be published: Eileen Collins, NASA, from scikit-image."""
    from skimage.data import astronaut

    return Image.fromarray(astronaut())


@pytest.fixture
def portrait_jpeg(portrait: Image.Image) -> bytes:
    """The bytes of that portrait as a JPEG file."""
    buffer = io.BytesIO()
    portrait.save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def portrait_png(portrait: Image.Image) -> bytes:
    """The same, enlarged to 1.4 megapixels, as a PNG file."""
    buffer = io.BytesIO()
    portrait.resize((1200, 1200)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def _postgresql_server() -> Iterator[str]:
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql(programs) as url:
        yield url


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with an empty bucket, whose keys are in the environment."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    before = dict(os.environ)
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        os.environ.update(server.environment)
        fresh_connection()
        server.make_bucket()
        yield server
    os.environ.clear()
    os.environ.update(before)
    fresh_connection()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind: what the store promises holds on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'lora.db'}"
    server = request.getfixturevalue("_postgresql_server")
    name = f"test_{secrets.token_hex(4)}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"
