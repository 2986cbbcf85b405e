"""Landlock, where the kernel has it: what commands cannot open, write and signal, and what goes on as before."""

import json

import pytest

from runner.sandbox.container import Sandbox
from tests.sandbox.hands import Hands

# What a command finds: 0, or the name of the error.
TRY = r"""
import errno, json, os, socket
found = {}

def attempt(name, make):
    try:
        make()
        found[name] = 0
    except OSError as error:
        found[name] = errno.errorcode[error.errno]

def sockets_without_a_path():
    mine, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    mine.bind("\0here")
    mine.listen()
    other.connect("\0here")

attempt("message queue", lambda: os.open("/dev/mqueue/made", os.O_CREAT | os.O_RDWR))
attempt("signal to PID 1", lambda: os.kill(1, 0))
for folder in ("/workspace", "/tmp", "/dev/shm"):
    os.makedirs(folder + "/a/b", exist_ok=True)
    attempt("write " + folder, lambda: open(folder + "/a/file", "w").write("x"))
    attempt("cut " + folder, lambda: os.truncate(folder + "/a/file", 0))
    attempt("move " + folder, lambda: os.rename(folder + "/a/file", folder + "/a/b/file"))
    attempt("link " + folder, lambda: os.link(folder + "/a/b/file", folder + "/a/file"))
    attempt("make a pipe in " + folder, lambda: os.mkfifo(folder + "/a/pipe"))
    attempt("remove in " + folder, lambda: os.unlink(folder + "/a/pipe"))
for device in ("null", "zero", "full", "random", "urandom"):
    attempt("open /dev/" + device, lambda: open("/dev/" + device, "rb+", buffering=0).read(1))
attempt("read the image", lambda: open("/etc/passwd").read())
attempt("run the image's", lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0))
attempt("its own score", lambda: open("/proc/self/oom_score_adj", "w").write("1000"))
attempt("its own output", lambda: open("/dev/stdout", "w").close())
attempt("signal to its own", lambda: os.kill(os.getpid(), 0))
attempt("sockets without a path", sockets_without_a_path)
print(json.dumps(found))
"""
SIGNALS_SINCE = 6  # version of Landlock, linux/landlock.h


@pytest.fixture
def agent(sandbox: Sandbox) -> Hands:
    return Hands(sandbox)


def test_the_version_that_is_told_is_the_one_by_which_commands_are_confined(agent: Hands) -> None:
    text = agent.bash(f"python3 - <<'PROGRAM'\n{TRY}\nPROGRAM\n").splitlines()[-2]
    found, version = json.loads(text), agent.sandbox.seen["landlock"]
    assert agent.sandbox.enforced["isolation"]["landlock"] == version
    # Without Landlock it is the limit of queues that refuses, and PID 1 that does not mind the signal.
    assert found.pop("message queue") == ("EACCES" if version else "EMFILE")
    assert found.pop("its own score") == ("EACCES" if version else 0)
    assert found.pop("signal to PID 1") == ("EPERM" if version >= SIGNALS_SINCE else 0)
    assert set(found.values()) == {0}, found


def test_a_command_cannot_take_its_confinement_off(agent: Hands) -> None:
    program = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# A ruleset that handles one right and allows it everywhere: one more layer, which takes nothing from the first.
ruleset = libc.syscall(444, struct.pack('=Q', 1 << 8), ctypes.c_size_t(8), 0)
at = os.open('/', os.O_PATH)
print(libc.syscall(445, ruleset, 1, struct.pack('=Qi', 1 << 8, at), 0), libc.syscall(446, ruleset, 0))
try:
    os.open('/dev/mqueue/made', os.O_CREAT | os.O_RDWR)
except OSError as error:
    print(error.strerror)
"""
    text = agent.bash(f"python3 - <<'PROGRAM'\n{program}\nPROGRAM\n")
    assert "Permission denied" in text if agent.sandbox.seen["landlock"] else "Too many open files" in text, text
