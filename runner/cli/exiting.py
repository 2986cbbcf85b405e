"""The end of the process, which nothing that was left behind may put off.

Python waits at its end for every thread that is no daemon, for every process that `multiprocessing` started, and for what
was registered with `atexit`. An agent of the user's own may have left some, and they may hang as it did; what its libraries
do at the end in an orderly way still has time to happen.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

END_S = 10.0  # chosen: enough to send what is left of a log; short against a job


@contextlib.contextmanager
def end_in_time() -> Iterator[None]:
    """Whatever exit status is raised in it is the process's, at the latest `END_S` later, and at once after a Ctrl-C."""
    try:
        yield
    except SystemExit as ended:
        status = ended.code
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, lambda number, frame: _end(status))
        with contextlib.suppress(RuntimeError):  # no thread is left: Python's own end must do
            threading.Thread(target=_end, args=(status, END_S), name="end", daemon=True).start()
        raise


def _end(status: object, after_s: float = 0.0) -> None:
    time.sleep(after_s)
    sys.stdout.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))
