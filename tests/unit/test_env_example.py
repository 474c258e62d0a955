"""`.env.example` and `docker-compose.yml` name the settings that there are."""

import re
from pathlib import Path

from core.settings import Settings

ROOT = Path(__file__).parents[2]
# What docker compose itself reads.
OF_COMPOSE = {"POSTGRES_PASSWORD"}


def test_every_setting_is_explained_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^# ([A-Z0-9_]+)=", text, flags=re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) - OF_COMPOSE == {name.upper() for name in Settings.model_fields}


def test_the_example_as_it_stands_sets_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_defaults_it_shows_are_the_defaults() -> None:
    """A number, a switch or a mode that the example shows is what holds when it is not set."""
    text = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^# ([A-Z0-9_]+)=(.+)$", text, flags=re.MULTILINE))
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float):
            assert float(shown[name.upper()]) == float(field.default), name


def test_compose_sets_only_settings_that_there_are() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    set_there = set(re.findall(r"^ {4,6}([A-Z0-9_]+):", text, flags=re.MULTILINE))
    assert set_there - {"POSTGRES_USER", "POSTGRES_DB"} - OF_COMPOSE <= {name.upper() for name in Settings.model_fields}
