"""A worker is killed with SIGKILL in mid-turn: how long until another goes on, ten times at each moment."""

import shutil
import tempfile
from pathlib import Path

from bench.report import Row, p
from tests.faults.drive import people
from tests.faults.stack import running
from tests.faults.takeover import MOMENTS, play

TIMES = 10


async def measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    rows: list[Row] = []
    try:
        # The lease that production has.
        settings = {"THREADWORK_LEASE_S": "8", "FAULTS_SHARE": "0"}
        async with (
            running(folder, 1, settings=settings) as stack,
            people(stack.postgres.url, stack.valkey.url) as crowd,
        ):
            everything: list[float] = []
            for moment in MOMENTS:
                name = moment.replace(" ", "-")
                quiet = await play(stack, crowd, moment, f"quiet-{name}", kill=False)
                taken = [await play(stack, crowd, moment, f"{name}-{number}-x", kill=True) for number in range(TIMES)]
                times = [one.takeover_s for one in taken]
                everything += times
                odd = sum(
                    one.told != quiet.told or one.calls != quiet.calls or one.agent_before != one.agent_after
                    for one in taken
                )
                note = f"median {p(times, 50):.1f} s; {odd} of {TIMES} differ from an undisturbed run"
                rows.append(Row(f"killed {moment}, p95", p(times, 95), "s", 12, note))
            note = "stock arq: its lock's time-out, 310 s as it comes, whatever the job"
            rows.append(Row("all of them, p95", p(everything, 95), "s", 12, note))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows
