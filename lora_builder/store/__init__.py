"""The only door to the database.

One file a group of tables; each is a class over the engine. The schema is Alembic's (`migrations/`).
"""

from lora_builder.store.history import Change
from lora_builder.store.projects import Project, Store
from lora_builder.store.queue import QueuedJob

__all__ = ["Change", "Project", "QueuedJob", "Store"]
