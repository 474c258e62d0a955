import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steady import steady
from worker.gateway.tokens import mint_token, verify_token

SECRET = b"s" * 32
CHAT_IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)


@steady
@given(chat_id=CHAT_IDS)
def test_a_token_names_the_chat_it_was_made_for(chat_id: str) -> None:
    assert verify_token(SECRET, mint_token(SECRET, chat_id)) == chat_id


@steady
@given(chat_id=CHAT_IDS, other=CHAT_IDS)
def test_a_signature_is_good_for_its_own_chat_only(chat_id: str, other: str) -> None:
    signature = mint_token(SECRET, chat_id).rpartition(".")[2]

    assert verify_token(SECRET, f"tw-{other}.{signature}") == (other if other == chat_id else None)


def test_a_token_made_with_another_secret_is_not_good() -> None:
    assert verify_token(SECRET, mint_token(b"t" * 32, "c1")) is None


@pytest.mark.parametrize(
    "token", ["", "tw-", "tw-.", "tw-c1", "tw-c1.", "c1.AAAA", "tw-c1.A A", "tw-c1.é", "x" * 10_000, "tw-\x00.AA"]
)
def test_what_is_not_a_token_is_refused_without_an_exception(token: str) -> None:
    assert verify_token(SECRET, token) is None


def test_the_prefix_cannot_be_left_out() -> None:
    assert verify_token(SECRET, mint_token(SECRET, "c1").removeprefix("tw-")) is None


@pytest.mark.parametrize("chat_id", ["", "two words", "line\nbreak", "grüße", "x" * 513])
def test_a_chat_id_that_cannot_stand_in_a_header_gets_no_token(chat_id: str) -> None:
    with pytest.raises(ValueError, match="chat id"):
        mint_token(SECRET, chat_id)
