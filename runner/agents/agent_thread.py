"""A thread for code that others wrote, which can be left behind: nothing else ends a call that does not come back.

All calls of one agent run in one thread of its own, one after the other, so that what a library keeps for a thread (an event
loop, a database's handle) stays the same from turn to turn. Who waits for a call may give it up; what still runs then is
told to end (which reaches Python code, not a call that is blocked), and nobody waits for it any more. What never lets go of
the interpreter's lock, in C, holds everything: against that only a process of its own would help, and an agent could then
have neither callbacks nor tools of its own.
"""

import ctypes
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from runner.sandbox.stream import leave_reading, no_threads_left

Made = TypeVar("Made")
POLL_S = 0.1  # chosen: how late a limit, or a stop, may be noticed


class GivenUp(SystemExit):
    """Raised inside the thread that is left behind; as a kind of `SystemExit`, threads end by it without a word."""


class DirectCalls:
    """Calls of an agent that keeps its own deadlines: they run where they are asked for."""

    over = False

    def call(self, function: Callable[[], Made], check: Callable[[], None]) -> Made:
        """What it returns."""
        return function()

    def close(self) -> None:
        """Nothing."""


class AgentThread:
    """Calls in a thread of their own.

    Attributes:
        over: it was closed, or a call was given up: no other can be made.
    """

    def __init__(self, name: str) -> None:
        self.over = False
        self._todo: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def call(self, function: Callable[[], Made], check: Callable[[], None]) -> Made:
        """What the function returns, or whatever it raises; until then `check` is called again and again.

        Args:
            check: raises to give the call up.

        Raises:
            InfrastructureFault: this process gets no thread for it.
        """
        if self.over:
            raise RuntimeError("the thread is over")
        if not self._thread.is_alive():
            try:
                self._thread.start()
            except RuntimeError as error:
                raise no_threads_left() from error
        done: Future[Made] = Future()
        self._todo.put((function, done))
        try:
            while not wait([done], timeout=POLL_S).done:
                check()
        except BaseException:
            self._leave()
            raise
        return done.result()

    def _work(self) -> None:
        process = os.getpid()
        leave_reading()  # to be told to end must not leave a stream without a reader
        while not self.over:
            function, done = self._todo.get()
            try:
                done.set_result(function())
            except BaseException as error:  # boundary: it is raised where the result is waited for
                if not done.done():  # it was told to end just after it had come back
                    done.set_exception(error)
            if os.getpid() != process:
                os._exit(1)  # it forked, and the copy came back, too: nobody waits for that one

    def close(self) -> None:
        """No call follows: the thread ends."""
        self.over = True
        self._todo.put((lambda: None, Future()))

    def _leave(self) -> None:
        self.over = True
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(GivenUp))
