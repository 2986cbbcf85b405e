"""The job's dollars over several hosts: nothing is spent twice, nothing by a share that nobody hears."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.budget.limits import Account, BudgetExceeded
from runner.faults import InfrastructureFault
from runner.hosts.book import Book
from runner.hosts.share_ledger import SILENT_S, ShareLedger

pytestmark = pytest.mark.slow

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "again", "settle", "close"]), st.integers(0, 2), st.integers(0, 5), st.floats(0, 4)
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_shares_do_the_book_never_grants_more_than_the_cap(steps: list[tuple[str, int, int, float]]) -> None:
    book, granted = Book(Account(10.0)), {}
    for what, share, number, amount in steps:
        name, token = f"s{share}", f"s{share}-{number}"
        match what:
            case "reserve" | "again":
                question = {"ask": "reserve", "token": token, "amount": amount}
                if book.answer(name, question).get("granted"):
                    granted.setdefault(token, amount)
            case "settle":
                cost = min(amount, granted.get(token, 0.0))
                book.answer(name, {"ask": "ping", "settle": [[token, cost]]})
            case "close":
                book.close(name)
        account = book.account
        assert account.spent + account.reserved <= 10.0 + 1e-9
        assert account.open_reservations == len(book.open)


def test_a_question_that_is_asked_again_reserves_once_and_is_settled_once() -> None:
    book = Book(Account(10.0))
    for _ in range(2):
        assert book.answer("s", {"ask": "reserve", "token": "t", "amount": 3.0})["granted"]
    assert book.account.reserved == 3.0
    for _ in range(2):
        book.answer("s", {"ask": "ping", "settle": [["t", 1.0]]})
    assert (book.account.spent, book.account.reserved) == (1.0, 0.0)


def test_a_closed_share_is_charged_at_its_bound_and_gets_nothing_more() -> None:
    book = Book(Account(10.0))
    book.answer("s", {"ask": "reserve", "token": "t", "amount": 3.0})
    assert book.close("s") == 3.0 and book.account.spent == 3.0
    assert book.answer("s", {"ask": "reserve", "token": "u", "amount": 1.0}) == {"stop": True, "ended": True}
    book.answer("s", {"ask": "ping", "settle": [["t", 0.5]]})  # it was alive after all
    assert book.account.spent == 3.0


def ledger_of(book: Book, stopped: list[str]) -> ShareLedger:
    return ShareLedger(lambda question: book.answer("s", question), lambda: stopped.append("stop"))


def test_a_turn_is_charged_in_the_drivers_book() -> None:
    book = Book(Account(1.0))
    with ledger_of(book, []).reserve(0.8) as reservation:
        assert book.account.reserved == 0.8
        reservation.charge(0.3)
    assert (book.account.spent, book.account.reserved) == (0.3, 0.0)


def test_a_turn_that_does_not_fit_ends_the_episode() -> None:
    book = Book(Account(0.5))
    ledger = ledger_of(book, [])
    with pytest.raises(BudgetExceeded), ledger.reserve(0.8):
        pass
    assert ledger.exhausted and book.exhausted


def test_a_turn_that_does_not_fit_where_a_smaller_one_would_ends_no_other_episode() -> None:
    book = Book(Account(0.5))
    ledger = ledger_of(book, [])
    with pytest.raises(BudgetExceeded), ledger.reserve(0.8, small=0.1):
        pass
    assert not ledger.exhausted and not book.exhausted


def test_a_share_that_the_book_does_not_answer_spends_nothing_after_half_a_minute() -> None:
    clock, stopped, asked = [0.0], [], []

    def silent(question: object) -> None:
        asked.append(question)
        clock[0] += 8.0

    ledger = ShareLedger(silent, lambda: stopped.append("stop"), lambda: clock[0])
    with pytest.raises(InfrastructureFault, match="has not answered for 30 s"), ledger.reserve(0.1):
        raise AssertionError("it was granted")
    assert stopped == ["stop"] and SILENT_S < clock[0] <= SILENT_S + 10.0
    questions = len(asked)
    with pytest.raises(InfrastructureFault), ledger.reserve(0.1):
        pass
    assert len(asked) == questions  # it is over for good


def test_what_could_not_be_settled_is_settled_with_the_next_question() -> None:
    book, down = Book(Account(1.0)), [False]
    ledger = ShareLedger(lambda question: None if down[0] else book.answer("s", question), lambda: None)
    with ledger.reserve(0.5) as reservation:
        reservation.charge(0.2)
        down[0] = True
    assert book.account.reserved == 0.5
    down[0] = False
    ledger.ping()
    assert (book.account.spent, book.account.reserved) == (0.2, 0.0)


def test_a_turn_that_ends_while_its_grant_is_on_the_way_gives_the_dollars_back() -> None:
    book, lost = Book(Account(1.0)), [True]

    def ask(question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        answer = book.answer("s", question)
        return None if lost[0] else answer

    def deadline() -> None:
        raise TimeoutError

    ledger = ShareLedger(ask, lambda: None)
    with pytest.raises(TimeoutError), ledger.reserve(0.8, deadline):
        raise AssertionError("it was granted")
    assert book.account.reserved == 0.8
    lost[0] = False
    ledger.ping()
    assert (book.account.spent, book.account.reserved) == (0.0, 0.0)


def test_a_share_is_stopped_when_the_book_says_so() -> None:
    book, stopped = Book(Account(1.0)), []
    ledger = ledger_of(book, stopped)
    ledger.ping()
    book.stopping = True
    ledger.ping()
    ledger.ping()
    assert stopped == ["stop"]
