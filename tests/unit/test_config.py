"""The settings: every source, their precedence, every kind of bad value, and what `config show` hides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headbox.config import MASK, SETTINGS, Loaded, Settings, describe, load_settings
from headbox.domain.errors import ConfigError, HeadboxError
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND

KEY, OTHER_KEY = "0123456789abcdef", "fedcba9876543210"
DATABASE_WITH_PASSWORD = "postgresql://headbox:s3cr:t@p/ss@db.example/queue"


@pytest.fixture
def load(tmp_path: Path):
    def load(*, toml: str | None = None, env: dict[str, str] | None = None, **overrides: Any) -> Loaded:
        if toml is not None:
            (tmp_path / "headbox.toml").write_text(toml)
        return load_settings(overrides, env or {}, tmp_path)

    return load


def test_every_setting_has_a_field_and_every_field_a_setting():
    assert [setting.name for setting in SETTINGS] == [field.name for field in msgspec.structs.fields(Settings)]


def test_without_any_source_all_is_default(load):
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.origins.keys() == {setting.name for setting in SETTINGS}


def test_the_defaults_are_the_documented_ones():
    settings = Settings()
    assert (settings.database, settings.host, settings.port) == ("sqlite:///headbox.db", "127.0.0.1", 8000)
    assert (settings.finished_lifetime, settings.history_lifetime) == (HOUR, 90 * DAY)
    assert (settings.lease, settings.grace, settings.cancel_grace) == (20 * SECOND, 25 * SECOND, 5 * SECOND)
    assert (settings.schedule_threshold, settings.failure_threshold) == (5 * MINUTE, None)
    assert "password" in settings.redact


def test_every_default_can_be_given_back_as_it_is_shown(load):
    shown = {name: value for name, value, _ in describe(load()) if value}
    assert load(**shown).settings == Settings()


def test_a_file_overrides_the_default(load):
    loaded = load(toml='port = 9000\nqueues = ["mail", "sync"]\nlease = 1.5\n')
    assert (loaded.settings.port, loaded.settings.queues) == (9000, ("mail", "sync"))
    assert loaded.settings.lease == 3 * SECOND // 2
    assert loaded.origins["port"] == "headbox.toml"
    assert loaded.origins["host"] == "default"


def test_the_environment_overrides_the_file(load):
    loaded = load(toml="port = 9000\nconcurrency = 2", env={"HEADBOX_PORT": "9001", "PATH": "/bin"})
    assert (loaded.settings.port, loaded.origins["port"]) == (9001, "HEADBOX_PORT")
    assert (loaded.settings.concurrency, loaded.origins["concurrency"]) == (2, "headbox.toml")


def test_an_option_overrides_the_environment(load):
    loaded = load(env={"HEADBOX_PORT": "9001", "HEADBOX_CANCEL_GRACE": "7"}, port=9002, cancel_grace="PT3S", host=None)
    assert (loaded.settings.port, loaded.origins["port"]) == (9002, "option --port")
    assert (loaded.settings.cancel_grace, loaded.origins["cancel_grace"]) == (3 * SECOND, "option --cancel-grace")
    assert (loaded.settings.host, loaded.origins["host"]) == ("127.0.0.1", "default")


def test_a_file_may_be_named(tmp_path):
    (tmp_path / "headbox.toml").write_text("port = 1")
    (tmp_path / "other.toml").write_text("port = 9003")
    loaded = load_settings({}, {"HEADBOX_CONFIG": "other.toml"}, tmp_path)
    assert (loaded.settings.port, loaded.origins["port"]) == (9003, "other.toml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("database", "sqlite:////var/lib/headbox.db", "sqlite:////var/lib/headbox.db"),
        ("app", "examples.repository_sync:queue", "examples.repository_sync:queue"),
        ("host", "::1", "::1"),
        ("port", "0", 0),
        ("prefix", "/pulp/api/", "/pulp/api"),
        ("prefix", "/", "/"),
        ("queues", "a, b,,c", ("a", "b", "c")),
        ("queues", "", ()),
        ("secret_keys", f"{KEY},{OTHER_KEY}", (KEY, OTHER_KEY)),
        ("admin_password", "correct horse", "correct horse"),
        ("finished_lifetime", "PT30M", 30 * MINUTE),
        ("history_lifetime", "86400", DAY),
        ("grace", "0", 0),
        ("child_memory", "512M", 512 * 1024**2),
        ("child_memory", "2gib", 2 * 1024**3),
        ("child_memory", "100000000", 100_000_000),
        ("redact", "password,iban", ("password", "iban")),
        ("trusted_proxies", "127.0.0.1,10.0.0.0/8,::1", ("127.0.0.1", "10.0.0.0/8", "::1")),
    ],
)
def test_text_is_read_as_its_kind(load, name, text, value):
    assert getattr(load(env={f"HEADBOX_{name.upper()}": text}).settings, name) == value


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("database", "mysql://localhost/x", "sqlite:///headbox.db"),
        ("database", "", "sqlite:///headbox.db"),
        ("app", "examples.repository_sync", "module:queue"),
        ("host", "http://localhost/", "a name or an address"),
        ("port", "abc", "'abc' is not a whole number; give a port from 1 to 65535"),
        ("port", "65536", "'65536' is out of range; give a port from 1 to 65535"),
        ("port", "-1", "out of range"),
        ("port", "8_000", "not a whole number"),
        ("port", "9" * 5000, "not a whole number"),
        ("prefix", "pulp/api", "/pulp/api"),
        ("prefix", "/pulp/?x", "/pulp/api"),
        ("prefix", "//", "/pulp/api"),
        ("concurrency", "0", "1 to 1024"),
        ("queues", "two words", "their names"),
        ("secret_keys", f"{KEY},short", "16 characters"),
        ("admin_password", " ", "some text"),
        ("history_runs", "0", "1 or more"),
        ("lease", "0.5", "PT1S or more"),
        ("lease", "P1M", "no fixed length"),
        ("grace", "soon", "'soon' is not a duration"),
        ("grace", "-5", "'-5' is not a duration"),
        ("grace", "nan", "'nan' is not a duration"),
        ("child_memory", "512", "512M"),
        ("child_memory", "lots", "512M"),
        ("redact", "pass word", "names such as password"),
        ("allowed_hosts", "http://a", "their names"),
        ("trusted_proxies", "10.0.0.1/8", "addresses or networks"),
    ],
)
def test_a_bad_value_names_the_variable_and_says_what_to_give(load, name, text, advice):
    with pytest.raises(ConfigError, match=re.escape(advice)) as refusal:
        load(env={f"HEADBOX_{name.upper()}": text})
    assert str(refusal.value).startswith(f"HEADBOX_{name.upper()}: ")
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    "line",
    [
        'port = "abc"', "port = true", "port = 80.5", "port = []", "app = 7", "grace = true", "grace = inf",
        "queues = 7", "queues = [7]", "queues = {a = 1}", "child_memory = 1979-05-27", "admin_password = 12345",
    ],
)  # fmt: skip
def test_a_bad_value_in_a_file_names_the_file_and_the_key(load, line):
    with pytest.raises(ConfigError, match=rf"^headbox\.toml: {line.split()[0]}: .*(give|write)"):
        load(toml=line)


def test_a_bad_option_names_the_option(load):
    with pytest.raises(ConfigError, match=r"^option --child-runs: 0 is out of range; give 1 or more$"):
        load(child_runs=0)


def test_an_unknown_name_is_refused_in_every_source_with_the_closest_known_one(load):
    with pytest.raises(ConfigError, match=r"^headbox\.toml: prot: .*did you mean headbox\.toml: port\?"):
        load(toml="prot = 1")
    with pytest.raises(ConfigError, match=r"^headbox\.toml: server: there is no such setting; `headbox config show`"):
        load(toml="[server]\nport = 1")
    with pytest.raises(ConfigError, match=r"^option --concurency: .*did you mean option --concurrency\?"):
        load(toml="", concurency=1)


@pytest.mark.parametrize("variable", ["HEADBOX_PROT", "HEADBOX_Port", "HEADBOX_port"])
def test_an_unknown_variable_is_refused(load, variable):
    with pytest.raises(ConfigError, match=rf"^{variable}: .*did you mean HEADBOX_PORT\?"):
        load(env={variable: "1"})


def test_variables_that_are_no_settings_are_left_alone(load):
    environ = {"HEADBOX_TEST_POSTGRES": "x", "HEADBOX_SKIP_BROWSER": "1", "HEADBOXER": "y", "headbox_port": "z"}
    assert load(env=environ).settings == Settings()


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"^HEADBOX_CONFIG: there is no file 'absent\.toml'"):
        load_settings({}, {"HEADBOX_CONFIG": "absent.toml"}, tmp_path)


@pytest.mark.parametrize("content", [b"port 8000", b"\xff", b"x = " + b"[" * 100_000, b"port = 1\nport = 2"])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    (tmp_path / "headbox.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^headbox\.toml: is not TOML in UTF-8"):
        load_settings({}, {}, tmp_path)


def test_a_folder_in_the_files_place_is_one_sentence(tmp_path):
    (tmp_path / "headbox.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^headbox\.toml: cannot be read \(Is a directory\)"):
        load_settings({}, {}, tmp_path)


def test_one_secret_key_is_taken_whole(load):
    loaded = load(env={"HEADBOX_SECRET_KEY": f"{KEY},{OTHER_KEY}"})
    assert loaded.settings.secret_keys == (f"{KEY},{OTHER_KEY}",)
    assert loaded.origins["secret_keys"] == "HEADBOX_SECRET_KEY"


def test_one_secret_key_and_several_in_one_source_is_an_error(load):
    with pytest.raises(ConfigError, match=r"^HEADBOX_SECRET_KEY: secret_keys is set too"):
        load(env={"HEADBOX_SECRET_KEY": KEY, "HEADBOX_SECRET_KEYS": OTHER_KEY})


def test_a_secret_key_in_the_environment_goes_before_those_of_the_file(load):
    loaded = load(toml=f'secret_keys = ["{OTHER_KEY}"]', env={"HEADBOX_SECRET_KEY": KEY})
    assert loaded.settings.secret_keys == (KEY,)


def test_described_settings_hide_every_secret(load):
    loaded = load(
        env={"HEADBOX_SECRET_KEYS": f"{KEY},{OTHER_KEY}", "HEADBOX_ADMIN_PASSWORD": "hunter2"},
        database=DATABASE_WITH_PASSWORD,
    )
    rows = {name: (value, origin) for name, value, origin in describe(loaded)}
    assert rows["secret_keys"] == (MASK, "HEADBOX_SECRET_KEYS")
    assert rows["admin_password"] == (MASK, "HEADBOX_ADMIN_PASSWORD")
    assert rows["database"] == (f"postgresql://headbox:{MASK}@db.example/queue", "option --database")
    assert rows["app"] == ("", "default")
    assert loaded.settings.database == DATABASE_WITH_PASSWORD


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://db/queue?user=a&password=hunter2&x=1", f"postgresql://db/queue?user=a&password={MASK}&x=1"),
        ("postgresql://:hunter2@db/queue", f"postgresql://:{MASK}@db/queue"),
        ("postgresql://user@db:5432/queue", "postgresql://user@db:5432/queue"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
    ],
)
def test_a_database_url_is_shown_without_its_password(load, url, shown):
    assert {name: value for name, value, _ in describe(load(database=url))}["database"] == shown


@pytest.mark.parametrize(
    "environ",
    [
        {"HEADBOX_SECRET_KEYS": "hunter2"},
        {"HEADBOX_SECRET_KEY": "hunter2"},
        {"HEADBOX_DATABASE": "mysql:/root:hunter2@db"},
        {"HEADBOX_SECRET_KEY": "hunter2hunter2hunter2", "HEADBOX_SECRET_KEYS": "hunter2hunter2hunter2"},
    ],
)
def test_a_refusal_quotes_no_secret(load, environ):
    with pytest.raises(HeadboxError) as refusal:
        load(env=environ)
    assert "hunter2" not in str(refusal.value)


def test_a_refused_password_in_a_file_is_not_quoted(load):
    with pytest.raises(ConfigError, match="the value is not a password") as refusal:
        load(toml="admin_password = 12345")
    assert "12345" not in str(refusal.value)
