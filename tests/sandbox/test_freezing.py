"""While something is measured, sandboxes of agents stand still, whatever their guests try; a real engine."""

import threading
import time

import pytest

from runner.faults import SandboxWoke
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from tests.conftest import wait_until

BUSY = "import time\nwhile True:\n    end = time.monotonic() + 0.02\n    while time.monotonic() < end: pass\n"
WAKES_ITSELF = f"""
import ctypes, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
event = bytearray(64)
struct.pack_into("Qii", event, 0, 0, signal.SIGCONT, 0)
timer = ctypes.c_void_p()
made = libc.timer_create(1, (ctypes.c_char * 64).from_buffer(event), ctypes.byref(timer))
assert made == 0, ctypes.get_errno()
libc.timer_settime(timer, 0, struct.pack("qqqq", 0, 20_000_000, 0, 20_000_000), None)
{BUSY}
"""
# A signal to the process is left to its first thread, which does not hear it.
WAKES_BEHIND_A_VFORK = f"""
import ctypes, threading
def work():
    {WAKES_ITSELF.replace(chr(10), chr(10) + "    ")}
threading.Thread(target=work).start()
if ctypes.CDLL(None).vfork() == 0:
    ctypes.CDLL(None).sleep(300)
    ctypes.CDLL(None)._exit(0)
"""
SLEEPS_IN_A_VFORK = """
import ctypes
libc = ctypes.CDLL(None)
if libc.vfork() == 0:
    libc.sleep(300)
    libc._exit(0)
"""


def run(sandbox: Sandbox, command: str) -> None:
    got = sandbox.ask({"op": "bash", "timeout_s": 20.0, "output_bytes_max": 4000}, command.encode(), deadline_s=30.0)
    assert isinstance(got, Received) and got.frame.head["ok"], got


def begin(sandbox: Sandbox, program: str) -> None:
    sandbox.ask({"op": "create", "path": "guest.py"}, program.encode(), deadline_s=10.0)
    run(sandbox, "python3 guest.py > out.txt 2>&1 & sleep 0.7; cat out.txt; kill -0 $!")


def test_a_frozen_guest_uses_no_cpu_and_goes_on_afterwards(fleet: Fleet, sandbox: Sandbox) -> None:
    begin(sandbox, BUSY)
    with fleet.frozen("agent"):
        time.sleep(0.8)
        fleet.check_frozen(time.monotonic())
    before = sandbox.used().cpu_s or 0.0
    wait_until(lambda: (sandbox.used().cpu_s or 0.0) - before > 0.1)


@pytest.mark.parametrize("program", [WAKES_ITSELF, WAKES_BEHIND_A_VFORK])
def test_a_guest_that_wakes_itself_does_not_run_on(fleet: Fleet, sandbox: Sandbox, program: str) -> None:
    begin(sandbox, program)
    with fleet.frozen("agent"):
        time.sleep(0.6)
        before = sandbox.used().cpu_s
        time.sleep(0.8)
        after = sandbox.used().cpu_s
    assert before is not None and after is not None and after - before < 0.1


def test_a_guest_that_ran_meanwhile_ends_its_own_episode_and_the_round_is_taken_again(
    fleet: Fleet, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sandbox.container.FROZEN_CPU_S", -1.0)  # as if it had run
    with fleet.frozen("agent"):
        began_s = time.monotonic()
        for _ in ("the slot that sees it", "another that measured at the time"):
            with pytest.raises(SandboxWoke, match="ran while something was measured"):
                fleet.check_frozen(began_s)
        fleet.check_frozen(time.monotonic())  # what was ended disturbs no more
    got = sandbox.ask({"op": "ping"}, deadline_s=5.0)
    assert isinstance(got, GuestExit) and "had to stand still" in got.detail


def test_a_process_that_cannot_be_interrupted_does_not_keep_the_others_from_standing_still(
    fleet: Fleet, sandbox: Sandbox
) -> None:
    begin(sandbox, SLEEPS_IN_A_VFORK)
    with fleet.frozen("agent"):
        assert sandbox.termination_reason == ""
    run(sandbox, "true")


def test_a_guest_that_cannot_be_stopped_is_ended_and_nobody_elses_measurement_is_lost(
    fleet: Fleet, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever kept PID 1 from it: commands can take nothing from it any more (`inside/fence.py`).
    monkeypatch.setattr(sandbox, "_control", lambda op: lambda *_: None)
    with fleet.frozen("agent"):
        assert "could not be stopped" in sandbox.termination_reason
    assert isinstance(sandbox.ask({"op": "ping"}, deadline_s=5.0), GuestExit)


def test_no_sandbox_of_an_agent_starts_while_something_is_measured(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    opened = threading.Event()

    def play() -> None:
        with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)):
            opened.set()

    with fleet.frozen("agent"):
        thread = threading.Thread(target=play)
        thread.start()
        assert not opened.wait(1.0)
        with fleet.open(nbody_spec, "driver", role="candidate", cpuset=all_cpus(fleet.engine)):
            pass  # what is measured does start
    assert opened.wait(20.0)
    thread.join()
