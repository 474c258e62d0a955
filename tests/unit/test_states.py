"""The table of states, walked at random and explored whole."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.domain.states import (
    TABLE,
    Actor,
    ApprovalState,
    MessageState,
    SandboxState,
    State,
    TurnState,
    is_final,
    sources,
    step,
)
from core.errors import IllegalStep

KINDS = (MessageState, TurnState, ApprovalState, SandboxState)
FIRST: dict[type, State] = {
    MessageState: MessageState.QUEUED,
    TurnState: TurnState.RUNNING,
    ApprovalState: ApprovalState.PENDING,
    SandboxState: SandboxState.NONE,
}
FINAL: dict[type, set[State]] = {
    MessageState: {MessageState.ANSWERED, MessageState.STOPPED, MessageState.FAILED, MessageState.DROPPED},
    TurnState: {TurnState.DONE, TurnState.FAILED, TurnState.STOPPED},
    ApprovalState: {ApprovalState.ALLOWED, ApprovalState.DENIED, ApprovalState.WITHDRAWN},
    SandboxState: set(),
}
EVERY_STEP = [(kind, frm, to, by) for kind in KINDS for frm in kind for to in kind for by in Actor]


def take(frm: Any, to: Any, by: Actor) -> State:
    """`step` without its types, for steps that the type checker would refuse before it."""
    taken: State = step(frm, to, by)
    return taken


def is_in_table(frm: State, to: State, by: Actor) -> bool:
    return any(row.frm is frm and row.to is to and by in row.by for row in TABLE)


def reachable(frm: State) -> set[State]:
    seen, todo = {frm}, [frm]
    while todo:
        here = todo.pop()
        new = {row.to for row in TABLE if row.frm is here} - seen
        seen |= new
        todo.extend(new)
    return seen


def test_every_edge_stands_in_the_table_once_and_within_one_kind() -> None:
    edges = [(type(row.frm), row.frm, row.to) for row in TABLE]

    assert len(edges) == len(set(edges))
    assert all(type(row.frm) is type(row.to) and row.by and row.why for row in TABLE)


def test_a_step_is_taken_when_the_table_has_it_and_refused_otherwise() -> None:
    for _, frm, to, by in EVERY_STEP:
        if is_in_table(frm, to, by):
            assert take(frm, to, by) is to
        else:
            with pytest.raises(IllegalStep):
                take(frm, to, by)


def test_a_step_from_one_kind_to_another_is_refused() -> None:
    mixed = [(frm, to) for one in KINDS for other in KINDS if one is not other for frm in one for to in other]

    for frm, to in mixed:
        for by in Actor:
            with pytest.raises(IllegalStep):
                take(frm, to, by)


def test_sources_are_the_states_that_step_leads_from() -> None:
    for kind in KINDS:
        for to in kind:
            for by in Actor:
                assert sources(to, by) == {frm.value for frm in kind if is_in_table(frm, to, by)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_is_reachable(kind: type[MessageState]) -> None:
    assert reachable(FIRST[kind]) == set(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_final_states_are_final_and_no_others(kind: type[MessageState]) -> None:
    assert {state for state in kind if is_final(state)} == FINAL[kind]


@pytest.mark.parametrize("kind", [MessageState, TurnState, ApprovalState])
def test_every_state_leads_to_an_end(kind: type[MessageState]) -> None:
    for state in kind:
        assert reachable(state) & FINAL[kind], state


def test_only_a_person_allows_or_denies_and_nobody_but_a_run_ends_a_turn() -> None:
    for to in (ApprovalState.ALLOWED, ApprovalState.DENIED):
        assert [row.by for row in TABLE if row.to is to] == [{Actor.PERSON}]
    for end in FINAL[TurnState]:
        assert [row.by for row in TABLE if row.to is end] == [{Actor.RUN}]


class Walk(RuleBasedStateMachine):
    """A walk through all four kinds at once, by anyone, to anywhere; the model is the table, written as sets."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[type, State] = {}
        self.ended: dict[type, State] = {}

    @initialize()
    def begin(self) -> None:
        self.at = dict(FIRST)

    @rule(to=st.sampled_from([state for kind in KINDS for state in kind]), by=st.sampled_from(list(Actor)))
    def anyone_tries_any_step(self, to: MessageState, by: Actor) -> None:
        here = self.at[type(to)]
        may = here.value in sources(to, by)
        try:
            self.at[type(to)] = take(here, to, by)
        except IllegalStep:
            assert not may
        else:
            assert may
            assert type(to) not in self.ended

    @rule(data=st.data())
    def someone_takes_a_step_that_is_there(self, data: st.DataObject) -> None:
        open_rows = [row for row in TABLE if self.at[type(row.frm)] is row.frm]
        if not open_rows:
            return
        row = data.draw(st.sampled_from(open_rows))
        by = data.draw(st.sampled_from(sorted(row.by)))
        self.at[type(row.to)] = take(row.frm, row.to, by)

    @invariant()
    def what_has_ended_stays_as_it_ended(self) -> None:
        for kind, state in self.ended.items():
            assert self.at[kind] is state
        self.ended |= {kind: state for kind, state in self.at.items() if state in FINAL[kind]}

    @invariant()
    def whatever_has_not_ended_can_still_end(self) -> None:
        for kind, state in self.at.items():
            assert kind is SandboxState or reachable(state) & FINAL[kind]


TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
