"""What every container is made from: one frozen spec for agent, baseline and candidate.

`create_body` is the whole of what the engine is told, always and explicitly, in the words of the Engine API; nothing is
left to a default that differs between engines. Pure: it imports nothing of docker.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.faults import UsageFault

LABEL = "runner"
HOLDER_LABEL = "runner.holder"  # the process that holds a container (`runner.sandbox.leftovers`)
LOADER = (
    "import os;r=lambda n,b=b'':b if len(b)>=n else r(n,b+(os.read(0,n-len(b)) or os._exit(0)));"
    "exec(compile(r(int.from_bytes(r(4),'big')),'sandbox','exec'))"
)
MIB = 1024 * 1024  # bytes
PID1_RESERVE_BYTES = 48 * MIB  # chosen: for PID 1 and its interpreter, whatever fills the file systems
# What a file takes of the memory limit besides its content, as long as it is there: inode, name, target of a symbolic link.
# Measured: 970 bytes with a short name, 1,493 with the longest name and target that the kernel keeps beside the content.
FILE_BYTES = 1600
# chosen: far over any file that is honestly made, those with holes and those that are only memory included. It bounds how
# deep the kernel's table of a file's pages is, and so what each page takes beside its content.
FILE_SIZE_MAX = 64 * 1024 * MIB
# Of such a file, a page that lies alone takes three nodes of that table. Measured: 1.44 times the content with a page in
# each GiB, in 125 files; 1.62 times in one file that may be of any size.
SPARSE = (3, 2)  # chosen: content counts as so much memory
FILES_MIN = 2000  # chosen: what a tmpfs holds at the least; a memory limit without room for so many is too low
TMPFS_COUNT = 3  # /workspace, /tmp, /dev/shm
# What steers the programs that run inside, or leads them to a proxy: beginnings of names, ends, and whole ones. And what
# steers the engine's runtime: NVIDIA's, where it is the engine's default, takes these for an order to put the host's GPUs
# and the libraries of their driver into the container, of which no answer of the engine's tells. An image with
# CUDA_VERSION alone is to it an old one, which gets all of them.
DROPPED_BEGINNINGS = ("LD_", "PYTHON", "BASH_FUNC_", "NVIDIA_")
DROPPED_ENDS = ("_VISIBLE_DEVICES",)
DROPPED_NAMES = (
    "BASH_ENV",
    "BASHOPTS",
    "ENV",
    "SHELLOPTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "CUDA_VERSION",
)
# What PID 1 refuses to all that runs inside, besides what the engine does (`inside/refuse.py`): the calls by which pages of
# the image's files, which all containers share, are dropped, moved or asked for, the options by which a socket gets a
# filter (a host has one pool for the code of all) or memory beside the limit, and what has the kernel load modules.
REFUSED_CALLS = (
    "cachestat",
    "getsockopt",
    "io_setup",
    "io_uring_setup",
    "ioctl",
    "madvise",
    "mincore",
    "posix_fadvise",
    "preadv2",
    "process_madvise",
    "readahead",
    "setsockopt",
)
# What the engine's filter must refuse besides, as PID 1 tries it (`inside/walls.py`); the filter itself is `seccomp.json`.
WALLED_CALLS = (
    "add_key",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clone3",
    "fanotify_init",
    "finit_module",
    "fsetxattr",
    "fsopen",
    "io_uring_enter",
    "kcmp",
    "keyctl",
    "lsetxattr",
    "memfd_create huge pages",
    "memfd_secret",
    "mmap huge pages",
    "mount",
    "mount_setattr",
    "move_pages",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "request_key",
    "sendfile",
    "setns",
    "setxattr",
    "socket alg",
    "socket bluetooth",
    "socket inet, rare protocol",
    "socket inet, rare type",
    "socket inet6, rare protocol",
    "socket netlink, not routes",
    "socket packet",
    "socket vsock",
    "splice",
    "syslog",
    "tee",
    "umount2",
    "unshare",
    "userfaultfd",
    "vmsplice",
)
SECCOMP_PROFILE = json.dumps(json.loads((Path(__file__).parent / "seccomp.json").read_text()), separators=(",", ":"))
# What the engine shows no guest, and lets none write: its own list said in full, and the control groups, which one runtime
# (crun, on version 1 of control groups) lets everybody write to.
# What makes pseudo-terminals is masked, too: the host has one pool of them, and nothing bounds what one sandbox takes of it.
MASKED_PATHS = (
    "/dev/pts/ptmx",
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One kind of container, whoever runs in it.

    Attributes:
        image_id: `sha256:…`, resolved once, so that a moved tag changes nothing.
        python: interpreter inside.
        environment: the whole environment, as (name, value); a name of the image's that is not here is unset.
        unset: names of the image's environment that are removed.
        memory_bytes: memory and memory with swap.
        cpus: CPU quota in cores.
        inodes: files that each tmpfs may hold at the most; it holds fewer where the memory limit has less room (`files`).
        runtime: OCI runtime; empty for the engine's default.
        seccomp: the filter of system calls, as JSON of the engine's profiles.
        unenforced: names of walls (`walls.py`) without which the user goes on.
    """

    image_id: str
    python: str
    environment: tuple[tuple[str, str], ...]
    unset: tuple[str, ...]
    memory_bytes: int
    cpus: float
    pids: int
    workspace_bytes: int
    tmp_bytes: int
    shm_bytes: int = 16 * MIB
    inodes: int = 20_000
    runtime: str = ""
    seccomp: str = SECCOMP_PROFILE
    unenforced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        need = self._needed_bytes() + TMPFS_COUNT * FILE_BYTES * min(self.inodes, FILES_MIN)
        if need >= self.memory_bytes:
            raise UsageFault(
                cause=f"full file systems and a reserve need {need} bytes, the memory limit is {self.memory_bytes}",
                hint="workspace, tmp and shm count half as much again, for holes: raise limits.memory, or lower these",
            )

    @property
    def files(self) -> int:
        """How many files each tmpfs may hold: no number of them takes the memory that PID 1 needs."""
        room = (self.memory_bytes - self._needed_bytes()) // (TMPFS_COUNT * FILE_BYTES)
        return min(self.inodes, room)

    def _needed_bytes(self) -> int:
        """What full file systems and PID 1 take, files themselves aside."""
        content = self.workspace_bytes + self.tmp_bytes + self.shm_bytes
        return content * SPARSE[0] // SPARSE[1] + PID1_RESERVE_BYTES


@dataclass(frozen=True, slots=True)
class Placement:
    """What tells one container of a spec from another.

    Attributes:
        uid: numeric user and group, its own for each live sandbox.
        cpuset: CPUs that it may use, as the engine writes them (`0-1`, `1`).
        labels: who holds it, and for what.
    """

    uid: int
    cpuset: str
    labels: tuple[tuple[str, str], ...]


def clean_environment(
    image: Mapping[str, str], task: Mapping[str, str]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """(environment, names to unset): the image's with what steers programs dropped, the task's, ours."""
    steering = {name for name in image if _steers(name.upper())}
    kept = {name: value for name, value in image.items() if name not in steering}
    ours = {"HOME": "/workspace", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb", **dict.fromkeys(THREADS, "1")}
    environment = {**kept, **task, **ours}
    return tuple(sorted(environment.items())), tuple(sorted(steering - set(environment)))


def engine_environment(environment: Iterable[tuple[str, str]], unset: Iterable[str]) -> list[str]:
    """As the Engine API takes it: a name without a value is one of the image's that is not set."""
    return [*(f"{name}={value}" for name, value in environment), *unset]


def _steers(name: str) -> bool:
    return name.startswith(DROPPED_BEGINNINGS) or name.endswith(DROPPED_ENDS) or name in DROPPED_NAMES


def tmpfs_options(size_bytes: int, inodes: int, uid: int) -> str:
    """Mount options, every one said: engines differ in what they assume (exec, for one)."""
    return f"rw,exec,nosuid,nodev,size={size_bytes},nr_inodes={inodes},mode=0700,uid={uid},gid={uid}"


def ulimits(spec: SandboxSpec) -> list[dict[str, Any]]:
    """Per-process limits; msgqueue and sigpending also bound what one uid can take from the kernel."""
    limits = {
        "core": 1,
        "fsize": FILE_SIZE_MAX,
        "memlock": 65536,
        "msgqueue": 0,
        "nofile": 1024,
        "nproc": max(1024, 4 * spec.pids),
        "sigpending": 512,
    }
    return [{"Name": name, "Soft": value, "Hard": value} for name, value in sorted(limits.items())]


def host_config(spec: SandboxSpec, place: Placement) -> dict[str, Any]:
    """The HostConfig part: what the engine must enforce."""
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges", f"seccomp={spec.seccomp}"],
        "MaskedPaths": list(MASKED_PATHS),
        "ReadonlyPaths": list(READONLY_PATHS),
        "Privileged": False,
        "ReadonlyRootfs": True,
        "Tmpfs": {
            "/workspace": tmpfs_options(spec.workspace_bytes, spec.files, place.uid),
            "/tmp": tmpfs_options(spec.tmp_bytes, spec.files, place.uid),
            # The engine's own bounds no number of files, of which each takes memory that no process holds.
            "/dev/shm": tmpfs_options(spec.shm_bytes, spec.files, place.uid),
        },
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,
        "NanoCpus": round(spec.cpus * 1e9),
        "CpusetCpus": place.cpuset,
        "PidsLimit": spec.pids,
        "Ulimits": ulimits(spec),
        "IpcMode": "private",
        "ShmSize": spec.shm_bytes,
        "CgroupnsMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Init": False,
        "OomScoreAdj": 500,
        "LogConfig": {"Type": "none", "Config": {}},
        "AutoRemove": True,
        "Binds": [],
        "Devices": [],
        "GroupAdd": [],
        "PublishAllPorts": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    }
    if spec.runtime:
        config["Runtime"] = spec.runtime
    return config


def create_body(spec: SandboxSpec, place: Placement) -> dict[str, Any]:
    """The whole body of a create call of the Engine API."""
    return {
        "Image": spec.image_id,
        "Entrypoint": [spec.python, "-I", "-c", LOADER],
        "Cmd": [],
        "WorkingDir": "/workspace",
        "User": f"{place.uid}:{place.uid}",
        "Env": engine_environment(spec.environment, spec.unset),
        "Labels": dict(place.labels),
        "StopSignal": "SIGKILL",
        "Healthcheck": {"Test": ["NONE"]},
        "Hostname": "sandbox",
        "Domainname": "",
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "HostConfig": host_config(spec, place),
    }


AGENT_ROLE = "agent"
