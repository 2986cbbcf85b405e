"""Signals of a job: whatever asks it to end ends it as Ctrl-C does."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from runner.budget.stopped import note_stop
from runner.job.main_thread import waking_main_thread


@contextlib.contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does; a second one ends the process at once.

    What was ignored stays ignored: with SIGHUP (`nohup`) a job goes on when its terminal is closed, and with SIGINT, as
    scripts start what they send to the background, when Ctrl-C is for another program.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        note_stop()
        if not may_go_on(number, frame):
            return
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    with waking_main_thread(before) as may_go_on:
        try:
            for number in before:
                signal.signal(number, stop)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
