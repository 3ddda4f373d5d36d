"""What a database and a server allow at best: bare loops with nothing around them. They have statements of their own,
so that no mistake of the project's can hide in both."""

from __future__ import annotations

from benchmarks.floor.postgres import PostgresFloor
from benchmarks.floor.sqlite import SQLiteFloor
from benchmarks.scene import Scene


def floor_of(scene: Scene) -> SQLiteFloor | PostgresFloor:
    """The floor of a scene's database, on tables of its own: copies of the project's."""
    return PostgresFloor(scene.url) if scene.tables.is_postgres else SQLiteFloor(scene.url.removeprefix("sqlite:///"))
