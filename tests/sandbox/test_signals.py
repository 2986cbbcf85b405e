"""What a program of the guest's finds of the signals that PID 1 ignores."""

import signal
import subprocess
import sys

import pytest

from runner.sandbox.container import INSIDE, Received, Sandbox
from runner.sandbox.execute import Executed, Executor
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from tests.sandbox.hands import Hands

MAIN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, lambda number, frame: None)
default_signals()
print([signal.getsignal(number) for number in signal.valid_signals() if signal.getsignal(number) != signal.SIG_DFL])
"""
# Blocked, and ignored: of the process that reads it.
MASKS = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
NONE = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}  # which every Python ignores


def signals_in(status: str, field: str) -> set[int]:
    """The numbers of the signals of one field of a /proc/*/status."""
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(f"{field}:"))
    return {bit + 1 for bit in range(64) if mask >> bit & 1}


IGNORE_RESERVED = """
import ctypes
act = (ctypes.c_ulong * 4)(1, 0, 0, 0)
call = SIGACTION_X86_64 if os.uname().machine == "x86_64" else SIGACTION_GENERIC
assert ctypes.CDLL(None).syscall(call, 32, act, None, ctypes.c_size_t(8)) == 0
"""
TAKE_OVER = """
def status():
    return open("/proc/self/status").read()
before = status()
wire = take_over()
os.write(2, before.encode())
os.write(wire.writing, status().encode())
"""


def test_pid_1_stops_ignoring_even_what_the_c_library_keeps_for_itself() -> None:
    # As where whoever started the engine ignores one of them: every container inherits it.
    text = (INSIDE / "frames.py").read_text(encoding="utf-8") + IGNORE_RESERVED + TAKE_OVER
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert 32 in signals_in(done.stderr, "SigIgn")
    assert not signals_in(done.stdout, "SigIgn") - signal.valid_signals()


def test_a_program_of_the_guests_starts_with_every_signal_at_its_default() -> None:
    text = (INSIDE / "frames.py").read_text(encoding="utf-8") + MAIN
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_a_sample_finds_of_signals_what_every_python_does() -> None:
    texts = [(INSIDE / name).read_text(encoding="utf-8") for name in ("frames.py", "driver.py")]
    main = (
        "class Looks:\n    def serve(self):\n        print(open('/proc/self/status').read(), flush=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwork(None, Looks())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*texts, main])], capture_output=True, text=True, check=False
    )
    # No program can set the two that its C library keeps for itself: they are as whoever started the tests left them.
    assert signals_in(done.stdout, "SigBlk") & signal.valid_signals() == set()
    assert signals_in(done.stdout, "SigIgn") & signal.valid_signals() == PYTHONS_OWN


@pytest.mark.parametrize("shell", ["first", "restarted", "replaced"])
def test_a_command_finds_no_signal_ignored_in_whichever_shell(sandbox: Sandbox, shell: str) -> None:
    agent = Hands(sandbox)
    if shell == "restarted":
        agent("bash", restart=True)
    elif shell == "replaced":
        agent.bash("exit 3")
    assert agent.bash(MASKS) == f"{NONE}[exit status 0]"


def test_a_program_that_writes_into_a_closed_pipe_or_a_full_file_ends_by_its_signal(sandbox: Sandbox) -> None:
    agent = Hands(sandbox)
    assert agent.bash("set -o pipefail; yes | head -1") == "y\n[exit status 141: ended by a signal]"
    assert agent.bash("(ulimit -f 1; exec head -c 9999 /dev/zero > full)").endswith(
        "[exit status 153: ended by a signal]"
    )


def test_a_program_of_others_finds_no_signal_ignored(sandbox: Sandbox) -> None:
    got = Executor(sandbox).run(["sh", "-c", MASKS])
    assert isinstance(got, Executed) and got.out.decode() == NONE


def test_a_program_that_is_judged_by_its_cases_finds_no_signal_ignored(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    with fleet.open(nbody_spec, "cases", role="check", cpuset="0") as sandbox:
        got = sandbox.ask({"op": "case", "argv": ["/bin/sh", "-c", MASKS], "out_max": 4096}, deadline_s=60.0)
    assert isinstance(got, Received) and got.frame.body.decode() == NONE
