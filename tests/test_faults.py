"""A fault is an exception like others: it can be copied, and sent to another process."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from runner import faults
from runner.faults import Fault, Interrupted, UsageFault

KINDS = [kind for kind in vars(faults).values() if isinstance(kind, type) and issubclass(kind, Fault)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda fault: pickle.loads(pickle.dumps(fault))], ids=["copy", "deep", "pickle"]
)
def test_a_fault_is_the_same_again(kind: type[Fault], again: Callable[[Fault], Fault]) -> None:
    fault = Interrupted() if kind is Interrupted else kind(cause="what was seen", hint="what to do")
    fault.add_note("a note")
    made = again(fault)
    assert type(made) is kind and (made.cause, made.hint, str(made)) == (fault.cause, fault.hint, str(fault))
    assert made.args == fault.args and made.__notes__ == ["a note"]


class Unsayable(Exception):
    def __str__(self) -> str:
        raise KeyError("x")


@pytest.mark.parametrize("given", [ConnectionError("refused"), None, {"a": 1}, Unsayable()], ids=repr)
def test_whatever_stands_in_the_place_of_a_faults_text_its_texts_are_texts(given: object) -> None:
    fault = UsageFault(cause=given, hint=given)  # type: ignore[arg-type]
    assert isinstance(fault.cause, str) and isinstance(fault.hint, str) and fault.cause and str(fault)


def raise_one() -> None:
    raise UsageFault(cause="a worker's", hint="read it")


def test_a_workers_fault_reaches_the_process_that_asked() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(UsageFault, match="a worker's"):
        pool.submit(raise_one).result()
