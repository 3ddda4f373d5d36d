"""The peers as data: what is installed, where their tasks are kept, and whether what they accept is durable there."""

from __future__ import annotations

from typing import Final, NamedTuple

from benchmarks.figures import POSTGRES, SQLITE

REDIS, RABBITMQ = "Redis", "RabbitMQ"


class Peer(NamedTuple):
    """One peer in one setting. `adapter` is a module of benchmarks/peers/adapters; `rate` what its drain makes about
    in a second, which says how many tasks a measurement of some seconds needs."""

    title: str
    store: str
    adapter: str
    requirements: tuple[str, ...]
    is_durable: bool
    setting: str
    rate: int
    python: tuple[int, int] = (3, 11)


MEMORY: Final = "no persistence"

PEERS: Final = {
    "huey-sqlite": Peer(
        "Huey, SQLite", SQLITE, "huey_sqlite", ("huey",), True, "fsync, 2 threads, polling every 10–20 ms", 3500
    ),
    "pgqueuer": Peer(
        "PgQueuer", POSTGRES, "pgqueuer_postgres", ("pgqueuer[asyncpg]", "uvloop"), True, "batches of 500", 9000
    ),
    "procrastinate": Peer(
        "Procrastinate", POSTGRES, "procrastinate_postgres", ("procrastinate",), True, "concurrency 8", 300
    ),
    "oban": Peer("Oban", POSTGRES, "oban_postgres", ("oban",), True, "100 at a time", 3000, (3, 12)),
    "chancy": Peer("Chancy", POSTGRES, "chancy_postgres", ("chancy",), True, "1,000 at a time, each second", 800),
    "huey-redis": Peer("Huey, Redis", REDIS, "huey_redis", ("huey", "redis"), False, f"2 threads, {MEMORY}", 4000),
    "dramatiq": Peer(
        "Dramatiq, Redis", REDIS, "dramatiq_redis", ("dramatiq[redis]",), False, f"2 × 4 threads, {MEMORY}", 3800
    ),
    "celery-redis": Peer(
        "Celery, Redis", REDIS, "celery_any", ("celery[redis]",), False, f"2 processes, {MEMORY}", 775
    ),
    "celery-rabbitmq": Peer(
        "Celery, RabbitMQ", RABBITMQ, "celery_any", ("celery",), False, "2 processes, no publisher confirms", 1900
    ),
    "rq": Peer("RQ, Redis", REDIS, "rq_redis", ("rq",), False, f"2 SimpleWorkers, {MEMORY}", 470),
    "taskiq": Peer(
        "taskiq, Redis", REDIS, "taskiq_redis_list", ("taskiq", "taskiq-redis"), False, f"2 processes, {MEMORY}", 3200
    ),
}
