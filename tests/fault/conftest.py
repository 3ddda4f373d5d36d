"""Faults befall the workers of the acceptance tests' floor, each on a database of its own."""

from __future__ import annotations

from tests.acceptance.worker.conftest import floor, make_floor, shared, shared_floor, shopfloor

__all__ = ["floor", "make_floor", "shared", "shared_floor", "shopfloor"]
