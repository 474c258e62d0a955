"""A worker killed with SIGKILL, and what people notice of it: nothing."""

from dataclasses import replace

import pytest

from tests.faults.drive import People
from tests.faults.stack import Stack
from tests.faults.takeover import MOMENTS, play


@pytest.mark.timeout(240)
async def test_a_turn_outlives_its_worker_at_any_moment(stack: Stack, crowd: People) -> None:
    for moment in MOMENTS:
        tag = moment.replace(" ", "-")
        quiet = await play(stack, crowd, moment, f"quiet-{tag}", kill=False)
        killed = await play(stack, crowd, moment, f"killed-{tag}", kill=True)

        assert killed.agent_after == killed.agent_before, moment
        assert quiet.state == "done"
        # The transcript, the model's calls, what ran, the posts and the questions: as if nothing had been.
        same = replace(killed, takeover_s=0.0, agent_before=quiet.agent_before, agent_after=quiet.agent_after)
        assert same == quiet, moment
