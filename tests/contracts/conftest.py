from collections.abc import AsyncIterator

import pytest

from core.store.engine import open_engine
from core.store.stores import stores_on
from tests.contracts.stage import Stage
from tests.doubles.observing.fixtures import logged, observer

__all__ = ["logged", "observer"]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_engine(database_url) as engine:
        yield Stage(stores_on(engine), engine)
