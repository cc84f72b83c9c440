"""The only door to the database.

One file a group of tables; each is a class over the engine. The schema is Alembic's (`migrations/`).
"""

from lora_builder.store.projects import Project, Store

__all__ = ["Project", "Store"]
