"""Calls that reach what all containers share, or take of the host beside every limit, are refused inside every sandbox."""

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from runner.faults import SandboxMismatch
from runner.sandbox import fleet as fleet_module
from runner.sandbox.container import INSIDE, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import REFUSED_CALLS, Placement, SandboxSpec
from runner.sandbox.verify import diff_self_report

# Each call as a program would make it, on a file of the image: what came back, 0 or the name of the error.
TRY = r"""
import ctypes, errno, json, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
file = os.open(sys.executable, os.O_RDONLY)
size = os.fstat(file).st_size
pages = mmap.mmap(file, size, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
at = libc.mmap(None, size, 1, 2, file, 0)
found = {}

def done(name, result):
    found[name] = 0 if result >= 0 else errno.errorcode[ctypes.get_errno()]

def call(name, number, *arguments):
    done(name, libc.syscall(number, *(ctypes.c_long(value) for value in arguments)))

def python(name, make):
    try:
        make()
        found[name] = 0
    except OSError as error:
        found[name] = errno.errorcode[error.errno]

mincore, madvise, readahead, io_setup, fadvise = {
    "x86_64": (27, 28, 187, 206, 221),
    "aarch64": (232, 233, 213, 0, 223),
}[os.uname().machine]
vector = ctypes.create_string_buffer(size // 4096 + 1)
python("drop", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED))
python("no reuse", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_NOREUSE))
python("drop, of no file", lambda: os.posix_fadvise(999, 0, 0, os.POSIX_FADV_DONTNEED))
python("sequential", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL))
python("will need", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED))
call("resident", mincore, at, size, ctypes.addressof(vector))
call("pageout", madvise, at, size, 21)
call("pageout, of no page", madvise, 1, 0, 21)
call("cold, of no page", madvise, 1, 0, 20)
call("pageout, of no page, high bits", madvise, 1, 0, 21 | 1 << 32)
call("cold", madvise, at, size, 20)
call("collapse", madvise, at, size, 25)
call("pageout, high bits", madvise, at, size, 21 | 1 << 32)
call("random", madvise, at, size, 1)
call("ahead", readahead, file, 0, size)
call("cachestat", 451, file, 0, 0, 0)
call("process_madvise", 440, file, 0, 0, 21, 0)
call("ring", 425, 8, 0)
call("asynchronous", io_setup, 8, 0)
call("drop by the other numbers", 0x40000000 | fadvise, file, 0, 0, 4)
buffer = bytearray(64)
python("read now", lambda: os.preadv(file, [buffer], 0, os.RWF_NOWAIT))
python("read", lambda: os.preadv(file, [buffer], 0))
python("read uncached", lambda: os.preadv(file, [buffer], 0, 0x80))
python("read, synchronous", lambda: os.preadv(file, [buffer], 0, os.RWF_HIPRI))
print(json.dumps(found))
"""
REFUSED = {
    **dict.fromkeys(("resident", "ahead", "cachestat", "process_madvise"), "ENOSYS"),
    **dict.fromkeys(("ring", "asynchronous", "drop by the other numbers"), "ENOSYS"),
    "collapse": "EINVAL",
    **dict.fromkeys(("read now", "read uncached"), "ENOTSUP"),
}
# Advice that no kernel takes of what is not there: here it succeeds, since it reaches none.
NOT_FOLLOWED = dict.fromkeys(
    (
        *("drop", "no reuse", "drop, of no file", "pageout", "cold", "pageout, high bits"),
        *("pageout, of no page", "cold, of no page", "pageout, of no page, high bits"),
    ),
    0,
)
KEPT = dict.fromkeys(("sequential", "will need", "random", "read", "read, synchronous"), 0)
# Filters of sockets, whose code takes of one pool of the host's. This needs no container: PID 1 sets its filter itself.
FILTERS = r"""
import errno, json, socket
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
refused, found = refuse_calls(), []
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xffffffff))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))
made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
number = 54 if os.uname().machine == "x86_64" else 208
for level, option in ((1, 26), (1 | 1 << 32, 26), (1, 26 | 1 << 32), (1, 50), (1, 51), (1, 52), (1, 27)):
    arguments = (made.fileno(), level, option, ctypes.addressof(program), 16)
    result = libc.syscall(number, *(ctypes.c_long(value) for value in arguments))
    found.append(0 if result >= 0 else errno.errorcode[ctypes.get_errno()])
made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
socket.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
socket.socket().setsockopt(socket.IPPROTO_IP, 50, 0)  # the number of one of them, of another level
print(json.dumps([refused, found]))
"""
# 32-bit code in a 64-bit process: `int 0x80` with the number of fadvise64 there (250), then back with what it returned.
# arm64 has no such way: a process there has one set of calls.
OTHER_ARCHITECTURE = r"""
import ctypes, mmap, os, sys
if os.uname().machine != "x86_64":
    sys.exit(print(-38))
code = bytes.fromhex("53b8fa000000bbffffffff31c931d2be04000000cd805bc3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
entry = ctypes.addressof(ctypes.c_char.from_buffer(page))
print(ctypes.CFUNCTYPE(ctypes.c_int)(entry)())
"""


def output_of(sandbox: Sandbox, program: str) -> str:
    command = b"python3 - <<'PROGRAM'\n" + program.encode() + b"\nPROGRAM\n"
    reply = sandbox.ask({"op": "bash", "timeout_s": 30.0, "output_bytes_max": 65536}, command, deadline_s=60.0)
    assert isinstance(reply, Received)
    assert reply.frame.head["exit_status"] == 0, reply.frame.body
    return reply.frame.body.decode()


def test_calls_that_drop_or_ask_for_pages_are_refused_and_ordinary_ones_are_not(sandbox: Sandbox) -> None:
    assert json.loads(output_of(sandbox, TRY)) == {**REFUSED, **NOT_FOLLOWED, **KEPT}


def test_the_numbers_of_another_architecture_are_no_way_around(sandbox: Sandbox) -> None:
    enosys = -38
    assert int(output_of(sandbox, OTHER_ARCHITECTURE)) == enosys


@pytest.mark.parametrize("program", ["toolserver", "driver", "profiler", "parser", "reader"])
def test_every_program_says_at_its_start_which_calls_it_refuses(
    fleet: Fleet, nbody_spec: SandboxSpec, program: str
) -> None:
    with fleet.open(nbody_spec, program, role="check", cpuset="0") as sandbox:
        assert sandbox.seen["refused"] == list(REFUSED_CALLS)


def test_a_sandbox_that_does_not_refuse_them_is_no_sandbox(
    fleet: Fleet, nbody_spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine whose calls nobody wrote down: the filter is not set, and PID 1 says so.
    whole = fleet_module.program
    unknown = whole("driver").replace(b'"x86_64": (', b'"another": (')

    def without_filter(name: str, key: bytes = b"") -> bytes:
        text = unknown[4:]
        return len(text).to_bytes(4, "big") + text

    monkeypatch.setattr(fleet_module, "program", without_filter)
    with (
        pytest.raises(SandboxMismatch, match=r"inside, refused: .*posix_fadvise.* / \[\]"),
        fleet.open(nbody_spec, "driver", role="check", cpuset="0"),
    ):
        pass


def test_each_call_that_is_not_refused_is_named(nbody_spec: SandboxSpec) -> None:
    place = Placement(1_000_000, "0", ())
    assert any(
        "mincore" in str(found) and found.wall == "pages"
        for found in diff_self_report(nbody_spec, place, {"refused": [n for n in REFUSED_CALLS if n != "mincore"]})
    )
    assert not any(
        "refused" in str(found) for found in diff_self_report(nbody_spec, place, {"refused": list(REFUSED_CALLS)})
    )


def test_no_filter_of_a_socket_can_be_set_and_every_other_option_can() -> None:
    program = "".join((INSIDE / name).read_text() + "\n" for name in ("frames.py", "refuse.py")) + FILTERS
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    refused, found = json.loads(done.stdout or "[[], []]")
    assert refused == list(REFUSED_CALLS), done.stderr
    assert found[:6] == ["ENOPROTOOPT"] * 6 and found[6] == "ENOENT", "there is none to be taken off"


# What each of these calls comes to once PID 1 has set its filter, on a socket of TCP: the requests and options that would
# have the kernel load a module or keep what nobody counts (levels 0, 6 and 41 are IP, TCP and IPv6), and ordinary ones.
BESIDE_LIMITS = r"""
import fcntl, json, socket
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
refuse_calls()
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
made = socket.socket()
set_number, get_number, request = (54, 55, 16) if os.uname().machine == "x86_64" else (208, 209, 29)
room = ctypes.create_string_buffer(256)

def tried(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, made.fileno(), *(ctypes.c_long(value) for value in arguments))
    return 0 if result >= 0 else errno.errorcode[ctypes.get_errno()]

asked = json.loads(sys.argv[1])
length = ctypes.c_int(4)
print(json.dumps({
    "ioctl": [tried(request, value | high, ctypes.addressof(room)) for value in asked["ioctl"] for high in (0, 1 << 32)],
    "set": [
        tried(set_number, level | high, option | high, ctypes.addressof(room), 4)
        for level, option in asked["set"] for high in (0, 1 << 32)
    ],
    "get": [
        tried(get_number, level, option, ctypes.addressof(room), ctypes.addressof(length)) for level, option in asked["get"]
    ],
}))
"""
MODULES_OF_REQUESTS = (
    *(0x5423, 0x8940, 0x8941),  # a line's discipline; bridges
    *(0x8980, 0x8981, 0x8982, 0x8983, 0x89A0, 0x89A1),  # DLCI; VLAN; bridges
)
OPTIONS_BESIDE_LIMITS = (
    *((6, option) for option in (14, 31, 32, 38, 39, 40, 41)),
    *((0, option) for option in (*range(35, 49), 64, 65, 80, 96, 1152)),
    *((41, option) for option in (20, 21, 27, 28, 32, *range(42, 49))),
)


def after_the_filter(**asked: Sequence[object]) -> dict[str, list[object]]:
    program = "".join((INSIDE / name).read_text() + "\n" for name in ("frames.py", "refuse.py")) + BESIDE_LIMITS
    text = json.dumps({"ioctl": (), "set": (), "get": (), **asked})
    done = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_no_request_has_the_kernel_load_a_module() -> None:
    assert set(after_the_filter(ioctl=MODULES_OF_REQUESTS)["ioctl"]) == {"ENOTTY"}


def test_no_option_of_a_socket_takes_memory_beside_the_limit_or_loads_a_module() -> None:
    found = after_the_filter(set=OPTIONS_BESIDE_LIMITS, get=[(0, 64), (0, 66), (0, 80)])
    assert set(found["set"]) == set(found["get"]) == {"ENOPROTOOPT"}


def test_what_programs_ask_of_sockets_is_not_refused() -> None:
    requests = (0x541B, 0x8912, 0x5421)  # FIONREAD, SIOCGIFCONF, FIONBIO
    of_tcp = ((6, option) for option in (1, 3, 4, 5, 6, 7, 8, 9, 12, 18, 25))
    found = after_the_filter(
        ioctl=requests, set=[*of_tcp, (0, 1), (0, 10), (0, 49), (1, 2), (1, 9), (1, 15)], get=[(6, 1), (0, 2), (1, 4)]
    )
    assert "ENOTTY" not in found["ioctl"]
    assert "ENOPROTOOPT" not in found["set"] + found["get"]


# PID 1 sets a filter that lets one kind of request through, and then tries them all.
WEAKER = r"""
import json
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
(architecture, numbers), every = machine(), IOCTL_REFUSED
IOCTL_REFUSED = every[:-1]
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
set_filter(libc, numbers, filter_program(architecture, numbers))
IOCTL_REFUSED = every
print(json.dumps(refused_calls(libc, numbers)))
"""


def test_one_request_that_is_let_through_is_enough_to_tell_that_the_call_is_not_refused() -> None:
    program = "".join((INSIDE / name).read_text() + "\n" for name in ("frames.py", "refuse.py")) + WEAKER
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "[]") == [name for name in REFUSED_CALLS if name != "ioctl"], done.stderr
