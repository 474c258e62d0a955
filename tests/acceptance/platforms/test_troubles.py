"""A platform that loses answers and refuses calls: nothing is posted twice, nothing is missing."""

import pytest

from tests.acceptance.platforms.abilities import Ability, needs
from tests.acceptance.platforms.conftest import Begin
from tests.acceptance.platforms.platform import Platform
from tests.stage.lines import bash, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
RETRY_S = 2.0


@needs(Ability.REMOTE)
async def test_posts_whose_answers_are_lost_are_made_once(begin: Begin, platform: Platform) -> None:
    platform.lose_answers(2)
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    await thread.press("Allow once")
    posts = await thread.is_over("Done with it.")

    assert len(posts) == await thread.posted() == 2


@needs(Ability.REMOTE)
async def test_a_refused_call_is_made_again_when_it_may_and_the_end_is_shown(begin: Begin, platform: Platform) -> None:
    platform.limit_posts(RETRY_S)
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    await thread.press("Allow once")
    posts = await thread.is_over("Done with it.")

    assert len(posts) == await thread.posted() == 2
    assert platform.was_patient(RETRY_S)
