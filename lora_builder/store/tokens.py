"""Tokens by which a visitor's own programs are let in; only their fingerprints are kept."""

from __future__ import annotations

import hashlib
import secrets
import time

import sqlalchemy as sa

_tokens = sa.table("access_tokens", *map(sa.column, ("fingerprint", "owner", "made_at")))

TOKEN_BYTES = 32
"""Random bytes of a token."""


class Tokens:
    """The table of access tokens. Reached as `Store.tokens`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def make(self, owner: str) -> str:
        """A new token that stands for that owner; the one of before stands for nobody any more."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        row = {"fingerprint": _fingerprint(token), "owner": owner, "made_at": time.time()}
        with self._engine.begin() as connection:
            connection.execute(_tokens.delete().where(_tokens.c.owner == owner))
            connection.execute(_tokens.insert().values(row))
        return token

    def owner_of(self, token: str) -> str | None:
        """Whom the token stands for."""
        query = sa.select(_tokens.c.owner).where(_tokens.c.fingerprint == _fingerprint(token))
        with self._engine.begin() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else str(found)

    def made(self, owner: str) -> bool:
        """Whether a token stands for that owner."""
        query = sa.select(_tokens.c.made_at).where(_tokens.c.owner == owner)
        with self._engine.begin() as connection:
            return connection.execute(query).first() is not None

    def revoke(self, owner: str) -> None:
        """From now on no token stands for that owner."""
        with self._engine.begin() as connection:
            connection.execute(_tokens.delete().where(_tokens.c.owner == owner))


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
