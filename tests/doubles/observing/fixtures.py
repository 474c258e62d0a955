"""Fixtures around a program that is watched; import them by name into a conftest."""

import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from tests.doubles.observing.double import Observer


@pytest.fixture
def observer() -> Iterator[Observer]:
    """Sentry and a collector of its own for each test."""
    with Observer() as observer:
        yield observer


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What a program in this process has logged; the logging of the tests is as it was after it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
