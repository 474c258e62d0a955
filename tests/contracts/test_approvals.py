import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from core.domain.approval import ApprovalId, ApprovalKind, Decision, Rule, Verdict
from core.domain.events import ApprovalAsked
from core.domain.states import ApprovalState, TurnState
from core.errors import AlreadyDecided, Fenced, IllegalStep, NotFound
from core.ports import Asked
from tests.contracts.stage import LONG_S, OVER_S, SEAT, Stage, end, wrote


async def test_a_question_comes_back_as_it_was_asked_and_its_event_is_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    asked = Asked(turn.id, "tu1", ApprovalKind.PLAN, "Bash", {"command": "ls\x00"}, "Run ls", ({"type": "x"},), "new")

    approval, is_new = await stage.stores.approvals.ask(fence, asked, 2)

    assert is_new
    assert (approval.kind, approval.tool, approval.input) == (ApprovalKind.PLAN, "Bash", {"command": "ls\ufffd"})
    assert (approval.line, approval.suggestions, approval.why) == ("Run ls", ({"type": "x"},), "new")
    assert (approval.state, approval.decision, approval.chat_id) == (ApprovalState.PENDING, None, fence.chat_id)
    [stored] = await stage.stores.turns.events(turn.id, after=1)
    assert (stored.seq, stored.event) == (2, ApprovalAsked(str(approval.id), ApprovalKind.PLAN, "Run ls", "Bash"))
    assert await stage.stores.approvals.get(approval.id) == approval
    assert await stage.stores.approvals.by_tool_use(fence.chat_id, "tu1") == approval
    assert await stage.stores.approvals.by_tool_use(fence.chat_id, "tu2") is None


async def test_a_question_asked_again_finds_its_row_whatever_became_of_it(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    decided = await stage.stores.approvals.decide(approval.id, Decision(Verdict.DENY, "no"), "Ann")
    before = await stage.dump()
    asked = Asked(turn.id, "tu1", ApprovalKind.TOOL, "Bash", {"command": "other"}, "Other")

    assert await stage.stores.approvals.ask(fence, asked, 3) == (decided, False)
    assert await stage.dump() == before

    await stage.stores.turns.finish(fence, turn.id, 3, end(), SEAT)
    assert await stage.stores.approvals.ask(fence, asked, 4) == (decided, False)


async def test_a_question_asked_twice_at_once_is_stored_once(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    asked = Asked(turn.id, "tu1", ApprovalKind.TOOL, "Bash", {"command": "ls"}, "Run ls")

    results = await asyncio.gather(*(stage.stores.approvals.ask(fence, asked, 2) for _ in range(4)))

    assert sorted(is_new for _, is_new in results) == [False, False, False, True]
    assert len({approval.id for approval, _ in results}) == 1
    assert len(await stage.stores.turns.events(turn.id)) == 2


async def test_the_same_tool_call_id_in_another_chat_is_another_question(stage: Stage) -> None:
    one = await stage.asks(*(await stage.begun())[:2])
    other = await stage.asks(*(await stage.begun(thread="other"))[:2])

    assert one.id != other.id
    assert [pending.id for pending in await stage.stores.approvals.pending()] == [one.id, other.id]
    assert [pending.id for pending in await stage.stores.approvals.pending(other.chat_id)] == [other.id]


async def test_a_question_whose_event_number_is_taken_is_not_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.record(fence, turn.id, 2, wrote("a"), SEAT)

    with pytest.raises(Fenced):
        await stage.asks(fence, turn, seq=2)

    assert await stage.stores.approvals.of_turn(turn.id) == []


async def test_nothing_is_asked_in_a_turn_that_is_over_or_anothers(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    _, elsewhere, _ = await stage.begun(thread="other")
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)

    for wrong in (turn, elsewhere):
        with pytest.raises(IllegalStep):
            await stage.asks(fence, wrong, seq=3)


async def test_a_decision_comes_back_whole(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    decision = Decision(Verdict.ALLOW, "fine", {"command": "ls -l"}, {"Which?": "This one, that one"})

    decided = await stage.stores.approvals.decide((await stage.asks(fence, turn)).id, decision, "Ann")

    assert (decided.state, decided.decision, decided.decided_by) == (ApprovalState.ALLOWED, decision, "Ann")
    assert decided.decided_at is not None
    assert await stage.stores.approvals.get(decided.id) == decided
    assert await stage.stores.approvals.pending(fence.chat_id) == []


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_every_yes_allows_and_every_no_denies(stage: Stage, verdict: Verdict) -> None:
    fence, turn, _ = await stage.begun()

    decided = await stage.stores.approvals.decide((await stage.asks(fence, turn)).id, Decision(verdict), "Ann")

    assert decided.state is (ApprovalState.ALLOWED if verdict.is_yes else ApprovalState.DENIED)


async def test_a_second_click_learns_who_decided(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    decided = await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")

    with pytest.raises(AlreadyDecided) as refused:
        await stage.stores.approvals.decide(approval.id, Decision(Verdict.DENY), "Bob")

    assert refused.value.words == "Ann allowed this."
    assert await stage.stores.approvals.get(approval.id) == decided


async def test_of_many_clicks_at_once_one_wins(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)

    results = await asyncio.gather(
        *(
            stage.stores.approvals.decide(approval.id, Decision(verdict), f"Person {n}")
            for n, verdict in enumerate((Verdict.ALLOW, Verdict.DENY) * 4)
        ),
        return_exceptions=True,
    )

    [winner] = [result for result in results if not isinstance(result, BaseException)]
    assert winner.decided_by is not None
    for loser in (result for result in results if result is not winner):
        assert isinstance(loser, AlreadyDecided)
        assert winner.decided_by in loser.words
    assert await stage.one("SELECT count(*) FROM audit") == 1


async def test_a_withdrawn_question_cannot_be_decided(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)

    withdrawn = await stage.stores.approvals.withdraw(fence, approval.id)

    assert withdrawn.state is ApprovalState.WITHDRAWN
    assert await stage.stores.approvals.withdraw(fence, approval.id) == withdrawn
    with pytest.raises(AlreadyDecided, match="No longer needed"):
        await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")


async def test_a_question_that_was_decided_stays_decided_when_it_is_withdrawn(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    decided = await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")

    assert await stage.stores.approvals.withdraw(fence, approval.id) == decided


async def test_of_a_click_and_the_end_of_the_turn_at_once_one_settles_the_question(stage: Stage) -> None:
    for n in range(5):
        fence, turn, _ = await stage.begun(thread=str(n))
        approval = await stage.asks(fence, turn)

        clicked, ended = await asyncio.gather(
            stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann"),
            stage.stores.turns.finish(fence, turn.id, 3, end(TurnState.STOPPED), SEAT),
            return_exceptions=True,
        )

        assert ended is None
        state = (await stage.stores.approvals.get(approval.id)).state
        assert state is (ApprovalState.WITHDRAWN if isinstance(clicked, AlreadyDecided) else ApprovalState.ALLOWED)


async def test_a_question_that_is_not_there_is_not_found(stage: Stage) -> None:
    fence, _, _ = await stage.begun()
    elsewhere = await stage.asks(*(await stage.begun(thread="other"))[:2])
    nowhere = ApprovalId(uuid4())

    for asked in (
        stage.stores.approvals.get(nowhere),
        stage.stores.approvals.decide(nowhere, Decision(Verdict.ALLOW), "Ann"),
        stage.stores.approvals.withdraw(fence, elsewhere.id),
        stage.stores.approvals.rekey(fence, elsewhere.id, "tu9"),
    ):
        with pytest.raises(NotFound):
            await asked
    assert (await stage.stores.approvals.get(elsewhere.id)) == elsewhere


async def test_a_question_asked_under_a_new_id_keeps_its_decision(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    decided = await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")

    rekeyed = await stage.stores.approvals.rekey(fence, approval.id, "tu9")

    assert rekeyed == replace(decided, tool_use_id="tu9")
    assert await stage.stores.approvals.by_tool_use(fence.chat_id, "tu9") == rekeyed
    assert await stage.stores.approvals.by_tool_use(fence.chat_id, "tu1") is None


async def test_a_question_does_not_get_the_id_of_another(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    first = await stage.asks(fence, turn)
    await stage.asks(fence, turn, "tu2", 3)

    with pytest.raises(IllegalStep):
        await stage.stores.approvals.rekey(fence, first.id, "tu2")

    assert await stage.stores.approvals.get(first.id) == first


async def test_rules_are_kept_once_in_the_order_given(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat
    other = (await stage.says("hello", thread="other")).chat
    rules = [Rule("Bash", "git status"), Rule("Edit"), Rule("Bash", "npm *")]

    for rule in (*rules, *rules):
        await stage.stores.approvals.add_rule(chat.id, rule, "Ann")

    assert await stage.stores.approvals.rules(chat.id) == rules
    assert await stage.stores.approvals.rules(other.id) == []


async def test_a_successor_finds_what_was_asked(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    approval = await stage.asks(fence, turn)
    await stage.stores.chats.renew(fence, OVER_S)
    successor = await stage.taken(accepted, "w2", LONG_S)

    found = await stage.asks(successor, turn, seq=3)

    assert found == approval
    assert await stage.stores.approvals.of_turn(turn.id) == [approval]


async def test_who_decided_and_who_stopped_is_on_record_for_good(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.approvals.decide((await stage.asks(fence, turn)).id, Decision(Verdict.DENY), "Ann")
    await stage.stores.turns.ask_stop(fence.chat_id, "Bob")
    await stage.stores.approvals.add_rule(fence.chat_id, Rule("Edit"), "Cid")

    assert await stage.one("SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit") == (
        "Ann denied, Bob stopped, Cid added a rule"
    )
    for change in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(Exception, match="append-only"):
            await stage.runs(change)
    assert await stage.one("SELECT count(*) FROM audit") == 3
