"""Whatever a page tells its reader to do is done here, block by block: what is written must be true."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from headbox import HeadboxError
from servers.postgres import binaries
from tests import postgres_server
from tests.docs.blocks import blocks, pages
from tests.docs.checkout import clone
from tests.docs.printed import compare
from tests.docs.scenario import KINDS, Scenario

ON_POSTGRES = ("docs/how-to/containers.md", "docs/how-to/run-on-postgresql.md")
A_FEW_TESTS = "--numprocesses 0 -p no:cacheprovider tests/unit/test_iso8601.py"
# What a page says in full is done on a smaller scale.
SMALLER = {"--seconds 600 --tasks 100000": "--seconds 0.5 --tasks 100 --only forkserver"}
# Why blocks are not run, and how many: nobody adds one in passing.
NOT_RUN: dict[str, int] = {}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which `make install` is done once, by whichever page says so first."""
    return clone(tmp_path_factory.mktemp("installed") / "headbox")


@pytest.fixture
def scenario(tmp_path: Path, installed: Path, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    folder = tmp_path / "page"
    folder.mkdir()
    fresh = cache(lambda: clone(tmp_path / "headbox"))
    is_readme = getattr(request.node, "callspec", None) and "README.md" in request.node.callspec.params.values()
    scenario = Scenario(folder, fresh if is_readme else lambda: installed, {".venv/bin/": "", **SMALLER})
    # The schedules of the example are far away; `make test` runs some tests.
    scenario.environ |= {"REPOSITORY_MINUTES": "1000000", "ARGS": A_FEW_TESTS}
    (scenario.machine / "var/backups").mkdir(parents=True)
    yield scenario
    scenario.end()


@pytest.fixture
def on_postgres(scenario: Scenario, request: pytest.FixtureRequest) -> Iterator[None]:
    """The server that `db.example.org` stands for, with PostgreSQL's own programs at hand. Others may use it too, so
    that the role and the databases have names of their own. The page that says how they are made makes them."""
    here = urlsplit(postgres_server.server_url())
    name = f"headbox_{secrets.token_hex(6)}"
    place = f"{here.hostname}:{here.port or 5432}"
    scenario.environ |= {
        "PATH": f"{binaries()}:{scenario.environ['PATH']}",
        "PGHOST": here.hostname or "",
        "PGPORT": str(here.port or 5432),
        "PGUSER": unquote(here.username or ""),
        "PGPASSWORD": unquote(here.password or ""),
    }
    scenario.stand_ins |= {
        "postgresql://headbox:password@db.example.org:5432/headbox": f"postgresql://{name}:password@{place}/{name}",
        "postgresql://headbox@db.example.org/restored": f"postgresql://{name}:password@{place}/{name}_restored",
        "createuser --pwprompt headbox": f"createuser --pwprompt {name}",
        "createdb --owner headbox headbox": f"createdb --owner {name} {name}",
        "createdb --owner headbox restored": f"createdb --owner {name} {name}_restored",
    }
    made = ("CREATE ROLE {0} LOGIN PASSWORD 'password'", "CREATE DATABASE {0} OWNER {0}")
    if "run-on-postgresql" not in request.node.name:
        administer(name, *made)
    yield
    scenario.end()
    administer(name, "DROP DATABASE IF EXISTS {0}_restored", "DROP DATABASE IF EXISTS {0}", "DROP ROLE IF EXISTS {0}")


def administer(name: str, *statements: str) -> None:
    with psycopg.connect(postgres_server.server_url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.format(name).encode())


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
        ("```tree\nsrc/headbox/\n  nonsense/   a room\n```", "there is no .*src/headbox/nonsense"),
        ("```tree\nsrc/headbox/\n  domain/   a room\n```", "it does not show"),
        ("```log\ntask …, run 2: superseded, its result was dropped\n```", "is to print"),
        ('```bash title="~/.bashrc"\n```', r"x\.md:1: \['sche'\]"),
        ("<!-- on a terminal -->\n```console\n$ echo one\none\n```\n\n```console\ntwo\n```", "is to print\n+two"),
        ("```sh\nsystemctl enable --now nothing\n```", "Unit nothing.service does not exist"),
        ("```sh\npython3 -m venv there\nthere/bin/pip install nothing==1\n```", "No matching distribution"),
        ("```sh\nmkdir -p etc && useradd --system me\n```", "--home-dir"),
    ],
)
def test_a_page_that_is_not_true_fails(scenario: Scenario, block: str, says: str) -> None:
    *before, last = blocks("x.md", block)
    for each in before:
        scenario.follow(each)
    with pytest.raises((pytest.fail.Exception, AssertionError, HeadboxError), match=says):
        scenario.follow(last)


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
        ("took 1.2 s", "took < 1 ms", True),
        ("━━━───  2/4", "━╸────  1/4", True),
        ("at http://127.0.0.1:8000/", "at http://127.0.0.1:41234/", True),
        ("bytes 177.9 kB", "bytes 60.0 kB", True),
        ("in 3 h", "in 14 d", True),
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
