"""Settings as options: made from the table, forwarded as typed, and the password that a first start leaves."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from headbox.cli.settings import API, SERVE, WORK, forward, load, with_settings
from headbox.config import BY_NAME, ConfigError


def test_every_setting_but_the_secret_ones_is_an_option_of_serve() -> None:
    assert set(SERVE) == {name for name, setting in BY_NAME.items() if not setting.secret and name != "redact"}
    assert set(SERVE) == set(API) | set(WORK) and len(SERVE) == len(set(SERVE))


def test_an_option_shows_what_it_means_and_its_default() -> None:
    @click.command()
    @with_settings(SERVE)
    def command(**typed: str | None) -> None:
        click.echo(repr(sorted((name, value) for name, value in typed.items() if value is not None)))

    assert CliRunner().invoke(command, ["--port", "81", "--app", "a:b"]).output == "[('app', 'a:b'), ('port', '81')]\n"
    shown = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=200).output.split())
    assert "--port VALUE The port of the API. [default: 8000]" in shown


def test_what_was_typed_goes_on_as_it_was_typed() -> None:
    typed = {"app": "a:b", "port": "81", "database": None, "queues": "a,b"}
    assert forward(typed, WORK) == ["--app", "a:b", "--queues", "a,b"]
    assert forward(typed, API) == ["--port", "81"]


def test_a_bad_option_is_a_usage_error_and_a_bad_variable_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(click.UsageError, match="option --port"):
        load({"port": "x"})
    monkeypatch.setenv("HEADBOX_PORT", "x")
    with pytest.raises(ConfigError, match="HEADBOX_PORT"):
        load({})
