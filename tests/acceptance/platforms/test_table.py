"""What platforms cannot do is written where people read it."""

from tests.acceptance.platforms.abilities import CANNOT, table
from tests.acceptance.platforms.conftest import OPEN
from tests.acceptance.program import ROOT


def test_the_docs_say_what_each_platform_can_do() -> None:
    """Made with `python -m tests.acceptance.platforms.abilities`."""
    assert table() in (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")


def test_every_platform_is_in_the_table() -> None:
    assert set(CANNOT) == set(OPEN)
