"""Whatever a page tells its reader to do is done here, block by block: what is written must be true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from headbox import HeadboxError
from servers.postgres import binaries
from tests import postgres_server
from tests.docs.blocks import blocks, pages
from tests.docs.scenario import KINDS, Scenario, compare

ON_POSTGRES = ("docs/how-to/run-on-postgresql.md",)
# Why blocks are not run, and how many: nobody adds one in passing.
NOT_RUN = {
    "the tests are run by them": 1,
    "a fresh clone, and bars that move": 3,
    "a picture of the folders": 1,
    "a line of a log": 1,
    "takes ten minutes": 1,
    "installs from the network": 2,
    "asks for a password": 1,
    "changes the machine": 1,
    "it goes on until q is pressed": 1,
    "it is for an interactive shell": 1,
    "needs a container engine": 2,
}


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Scenario]:
    folder, backups = tmp_path / "page", tmp_path / "backups"
    folder.mkdir()
    backups.mkdir()
    scenario = Scenario(folder, {"/var/backups": str(backups), ".venv/bin/": ""})
    yield scenario
    scenario.end()


@pytest.fixture
def on_postgres(scenario: Scenario) -> Iterator[None]:
    """The server that `db.example.org` stands for, with PostgreSQL's own programs at hand."""
    with postgres_server.database() as url, postgres_server.database() as other:
        here = urlsplit(url)
        scenario.environ |= {
            "PATH": f"{binaries()}:{scenario.environ['PATH']}",
            "PGHOST": here.hostname or "",
            "PGPORT": str(here.port or 5432),
            "PGUSER": unquote(here.username or ""),
            "PGPASSWORD": unquote(here.password or ""),
        }
        scenario.stand_ins |= {
            "postgresql://headbox:password@db.example.org:5432/headbox": url,
            "postgresql://headbox@db.example.org/restored": other,
            "createdb --owner headbox restored": "createdb --version",
        }
        yield
        scenario.end()


@pytest.mark.parametrize("page", [page for page in pages() if any(not block.reason for block in blocks(page))])
def test_what_a_page_says_is_true(page: str, scenario: Scenario, request: pytest.FixtureRequest) -> None:
    if page in ON_POSTGRES:
        request.getfixturevalue("on_postgres")
    for block in blocks(page):
        if block.reason is None:
            scenario.follow(block)
    assert scenario.idle_files() == []
    assert scenario.dead_services() == []


def test_each_block_has_a_language_that_can_be_run_or_says_why_not() -> None:
    found = [block for page in pages() for block in blocks(page)]
    assert len(found) > 15
    assert [str(block) for block in found if block.language not in KINDS and block.reason is None] == []
    reasons = [block.reason for block in found if block.reason is not None]
    counted = {reason: reasons.count(reason) for reason in reasons}
    assert counted == NOT_RUN, "say it here too, if there is really no way to run it"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("```python\nassert 1 == 2\n```", "AssertionError"),
        ("```sh\nheadbox task cancel\n```", "no service runs here"),
        ("```console\n$ headbox --version\nheadbox 0.0.0\n```", "is to print"),
        (
            '```python title="test_x.py"\ndef test_x(headbox_queue):\n    assert not headbox_queue.count()\n```',
            "1 failed",
        ),
        ("```dotenv\nHEADBOX_PRT=8001\n```", "did you mean HEADBOX_PORT"),
        ('```toml title="headbox.toml"\nport = "x"\n```', "not a whole number"),
    ],
)
def test_a_page_that_is_not_true_fails(scenario: Scenario, block: str, says: str) -> None:
    (found,) = blocks("x.md", block)
    with pytest.raises((pytest.fail.Exception, HeadboxError), match=says):
        scenario.follow(found)


def test_a_file_that_nothing_uses_is_not_taken_to_be_right(scenario: Scenario) -> None:
    for block in blocks(
        "x.md", '```python title="a.py"\nx = 1\n```\n```python title="b.py"\n```\n\n```python\nimport a\n```'
    ):
        scenario.follow(block)
    assert scenario.idle_files() == []
    for block in blocks("x.md", '```python title="c.py"\nimport nonsense\n```'):
        scenario.follow(block)
    assert scenario.idle_files() == ["c.py"]


def test_a_block_that_does_not_say_what_it_is_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x\.md:3: fence the block"):
        blocks("x.md", "Look:\n\n    code\n")


@pytest.mark.parametrize(
    ("expected", "printed", "is_so"),
    [
        ("a  b", "a b\n", True),
        ("took 1.2 s", "took 14 s", True),
        ("now, took …", "2 s ago, took 3 ms", True),
        ("a … c", "a b c", True),
        ("a …", "a b\nc", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb", False),
        ("01a20d6b-733e-7637-b9c9-61e847b2caff  finished", "01a20d6b-0000-7637-b9c9-61e847b2caff finished", True),
        ("01a20d6b-733e-7637-b9c9-61e847b2caff  finished", "01a20d6b-0000-7637-b9c9-61e847b2caff error", False),
    ],
)
def test_what_is_printed_is_compared(expected: str, printed: str, is_so: bool) -> None:
    assert (compare(expected, printed) is not None) is is_so
