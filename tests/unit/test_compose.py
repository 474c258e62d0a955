"""`docker-compose.yml` and the `Dockerfile`, as far as they can be checked without an engine."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft7Validator

from tests import compose
from threadwork.cli import app

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).parent / "compose_spec" / "compose_spec.json"
ENV = {"POSTGRES_PASSWORD": "made-up", "THREADWORK_SECRET_KEY": "made-up"}
OURS = ["migrate", "worker", "gateway", "slack", "discord", "web"]


@pytest.fixture
def read() -> dict[str, Any]:
    return compose.read(ENV)


def test_it_is_what_the_compose_specification_allows(read: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(read)] == []
    read["services"]["worker"]["restarts"] = "always"
    assert [error.message for error in Draft7Validator(schema).iter_errors(read)] != []


def test_every_variable_is_in_the_example_of_settings() -> None:
    explained = set(re.findall(r"^# ([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    named = {found[1] for found in compose.VARIABLE.finditer(compose.text())}
    assert named
    assert named <= explained
    assert compose.VARIABLE.sub("", compose.text()).count("$") == 0


@pytest.mark.parametrize("name", sorted(ENV))
def test_it_does_not_start_without_what_must_be_set(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        compose.read({key: value for key, value in ENV.items() if key != name})


def test_each_service_runs_a_command_that_there_is(read: dict[str, Any]) -> None:
    group = typer.main.get_command(app)
    commands: dict[str, Any] = getattr(group, "commands")  # noqa: B009 - click's group, which typer does not name
    services = compose.ours(read)
    assert set(services) == set(OURS)
    for service in services.values():
        program, *arguments = compose.command(service)
        if program != "threadwork":
            assert arguments[:2] == ["-m", "worker.gateway"]
            continue
        options = {option for parameter in commands[arguments[0]].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= options


def test_nothing_starts_before_the_tables_are_there(read: dict[str, Any]) -> None:
    for name, service in compose.ours(read).items():
        waits = {other: on["condition"] for other, on in service["depends_on"].items()}
        assert waits["postgres"] == "service_healthy"
        if name != "migrate":
            assert waits["migrate"] == "service_completed_successfully"
            assert waits["valkey"] == "service_healthy"
    assert read["services"]["migrate"]["restart"] == "no"


def test_only_the_page_is_published_and_on_loopback_only(read: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in read["services"].items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8030:8030"]}


def test_every_service_is_confined_watched_and_started_again(read: dict[str, Any]) -> None:
    for name, service in read["services"].items():
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "migrate":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
    for service in compose.ours(read).values():
        assert service["cap_drop"] == ["ALL"]
        assert service["env_file"] == [".env"]


def test_the_models_key_is_the_gateways_alone() -> None:
    read = compose.read({**ENV, "ANTHROPIC_API_KEY": "the-key"})
    holders = [name for name, one in compose.ours(read).items() if one["environment"]["ANTHROPIC_API_KEY"]]
    assert holders == ["gateway"]


def test_every_volume_is_declared(read: dict[str, Any]) -> None:
    used = {volume.partition(":")[0] for one in read["services"].values() for volume in one.get("volumes", [])}
    assert used == set(read["volumes"])


# ------------------------------------------------------------ the image


@pytest.fixture
def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows each."""
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    told = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(instruction, rest.strip()) for instruction, _, rest in told]


def test_the_image_ends_as_a_user_who_is_not_root(steps: list[tuple[str, str]]) -> None:
    last = max(number for number, (instruction, _) in enumerate(steps) if instruction == "FROM")
    users = [rest for instruction, rest in steps[last:] if instruction == "USER"]
    assert users == ["threadwork"]
    assert any(
        "useradd" in rest and "--uid 10001" in rest for instruction, rest in steps[last:] if instruction == "RUN"
    )


def test_its_base_is_one_release_of_python_and_debian(steps: list[tuple[str, str]]) -> None:
    bases = {rest.split()[0] for instruction, rest in steps if instruction == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases.pop())


def test_what_it_copies_is_there_and_let_in(steps: list[tuple[str, str]]) -> None:
    let_in = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        word
        for instruction, rest in steps
        if instruction == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
    }
    assert copied == let_in
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_it_installs_what_is_locked_without_what_development_needs(steps: list[tuple[str, str]]) -> None:
    syncs = [rest for instruction, rest in steps if instruction == "RUN" and "uv sync" in rest]
    assert len(syncs) == 2
    assert all("--locked" in sync and "--no-dev" in sync for sync in syncs)
    # Whoever sets SENTRY_DSN finds the library there.
    assert all("--extra observe" in sync for sync in syncs)


def test_it_starts_the_program_and_leaves_health_to_each_service(steps: list[tuple[str, str]]) -> None:
    told = dict(steps)
    assert json.loads(told["ENTRYPOINT"]) == compose.ENTRY_POINT
    assert "HEALTHCHECK" not in told
