"""What every test shares: no setting of the developer's own shell reaches a test, and Hypothesis holds no stopwatch."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

KEPT = {"HEADBOX_TEST_POSTGRES", "HEADBOX_SKIP_BROWSER"}

# A deadline per example would fail on a busy machine, and says nothing about correctness.
settings.register_profile("headbox", deadline=None, print_blob=True)
settings.load_profile("headbox")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEADBOX_") and name not in KEPT:
            monkeypatch.delenv(name)
