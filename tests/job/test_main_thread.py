"""A signal is seen to at once, whatever the main thread waits for, and whichever thread the kernel hands it to."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runner.job.main_thread import WAKING, waking_main_thread
from tests.environment import clean_environment

# Waits for what never comes, while a signal comes to another thread: the kernel breaks no wait of the main thread off.
WAITS = """
import signal, sys, threading, time
from runner.cli.signals import interrupt_on_sigterm

def elsewhere():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(600)

never = {"lock": threading.Lock(), "event": threading.Event(), "thread": threading.Thread(target=elsewhere, daemon=True)}
never["lock"].acquire()
wait = {"lock": never["lock"].acquire, "event": never["event"].wait, "thread": never["thread"].join}[sys.argv[2]]
try:
    with interrupt_on_sigterm():
        never["thread"].start()
        wait()
except KeyboardInterrupt:
    print("ended")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("waits_for", ["lock", "event", "thread"])
def test_a_signal_that_another_thread_is_handed_ends_what_the_main_thread_waits_for(
    project: Path, number: signal.Signals, waits_for: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS, str(int(number)), waits_for],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_a_process_that_was_forked_meanwhile_puts_off_no_end() -> None:
    with waking_main_thread({signal.SIGUSR1}):
        child = os.fork()
        if not child:
            time.sleep(300)
            os._exit(0)
    assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child went on"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
def test_a_default_of_sockets_that_others_set_ends_no_waiting_for_signals() -> None:
    socket.setdefaulttimeout(0.05)
    try:
        with waking_main_thread({signal.SIGUSR1}):
            waker = next(thread for thread in threading.enumerate() if thread.name == "waker")
            waker.join(0.5)
            assert waker.is_alive()
    finally:
        socket.setdefaulttimeout(None)


def test_what_was_set_before_is_set_afterwards() -> None:
    before = signal.getsignal(WAKING), signal.set_wakeup_fd(-1)
    with waking_main_thread({signal.SIGUSR1}):
        assert signal.getsignal(WAKING) is not before[0]
    assert (signal.getsignal(WAKING), signal.set_wakeup_fd(before[1])) == (before[0], -1)


def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(
    project: Path, home: str, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    environment = clean_environment(home, PYTHONPATH=str(tmp_path))
    command = [sys.executable, "-m", "runner", "doctor"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
