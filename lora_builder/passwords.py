"""Who may come in where the app asks for a name and a password, and how passwords are kept.

Names come from `login` (NAME:PASSWORD, commas between) and from the lines NAME:PASSWORD of
`login_file`. A password may stand there as scrypt made it, as `lora-dataset-builder login NAME` writes
it: whoever reads the file then still cannot come in. The file is read again when it changes, so
somebody who is taken out of it is out at the next click.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from pathlib import Path

from lora_builder.errors import BadSettings
from lora_builder.files import atomic_write
from lora_builder.settings import Settings

SCHEME = "scrypt"
COST, BLOCK, LANES = 2**14, 8, 1
"""scrypt's n, r and p as RFC 7914 recommends for logins: 16 MiB and about 50 ms a try."""

SALT_BYTES, HASH_BYTES = 16, 32

SHORTEST = 8
"""Characters of a password that `login` takes: NIST SP 800-63B."""


def hashed(password: str) -> str:
    """The password as it is kept: nobody reads it back."""
    salt = secrets.token_bytes(SALT_BYTES)
    return "$".join([SCHEME, str(COST), str(BLOCK), str(LANES), _text(salt), _text(_scrypt(password, salt))])


def fits(password: str, kept: str) -> bool:
    """Whether it is that password, kept as it is or as `hashed` made it."""
    if not kept.startswith(f"{SCHEME}$"):
        return hmac.compare_digest(password.encode(), kept.encode())
    try:
        _, cost, block, lanes, salt, wanted = kept.split("$")
        found = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
    except ValueError:  # a line that somebody wrote by hand
        return False
    return hmac.compare_digest(found, base64.b64decode(wanted))


class Passwords:
    """The names that may come in; every method may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._given = _pairs(settings.login.get_secret_value().split(","))
        self._file = settings.login_file
        self._lock = threading.Lock()
        self._read: tuple[object, dict[str, str]] = (None, {})
        self._nobody = hashed(secrets.token_hex(8))
        if self._file is not None and not self._file.is_file():
            raise BadSettings(
                f"LOGIN_FILE {self._file} is not there.", "Make it: `lora-dataset-builder login NAME`."
            )

    @property
    def needed(self) -> bool:
        """Whether nobody may come in without a name."""
        return bool(self._given) or self._file is not None

    def knows(self, name: str) -> bool:
        """Whether somebody of that name may come in."""
        return name in self._all()

    def check(self, name: str, password: str) -> bool:
        """Whether it is that name's password; an unknown name takes as long as a known one."""
        kept = self._all().get(name)
        return fits(password, self._nobody if kept is None else kept) and kept is not None

    def _all(self) -> dict[str, str]:
        if self._file is None:
            return self._given
        with self._lock:
            try:
                found = self._file.stat()
                moment = (found.st_mtime_ns, found.st_size, found.st_ino)
                if moment != self._read[0]:
                    self._read = (moment, _pairs(self._file.read_text("utf-8").splitlines()))
            except OSError:  # taken away: then nobody in it may come in
                self._read = (None, {})
            return self._read[1] | self._given


def write(path: Path, name: str, password: str | None) -> None:
    """Sets a name's password in the file, or (None) takes the name out. Raises BadSettings."""
    if not name.strip() or name != name.strip() or not name.isprintable() or set(name) & set(":,#"):
        raise BadSettings(f"{name!r} is no name.", "Take letters, digits, dots, @ and dashes.")
    if password is not None and len(password) < SHORTEST:
        raise BadSettings(f"A password has at least {SHORTEST} characters.", "Take a longer one.")
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    lines = [line for line in lines if line.partition(":")[0].strip() != name]
    if password is not None:
        lines.append(f"{name}:{hashed(password)}")
    atomic_write(path, "".join(f"{line}\n" for line in lines).encode(), mode=0o600)


def _pairs(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, colon, password = line.partition(":")
        if colon and name.strip() and password.strip() and not line.lstrip().startswith("#"):
            found[name.strip()] = password.strip()
    return found


def _scrypt(password: str, salt: bytes, cost: int = COST, block: int = BLOCK, lanes: int = LANES) -> bytes:
    # Python's own limit on memory is just below what these costs take.
    room = 256 * cost * block
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=room, dklen=HASH_BYTES
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
