"""A task of Harbor's, read from its folder with bounds: what we take of it, what is lost, and what is refused by name. Pure.

Nothing of Harbor's is needed for it. The folder is a stranger's: links and special files are refused, files and their number
are bounded, and nothing of it runs on this machine.
"""

import functools
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from runner.bridges.harbor_files import Tree, check_plain, read_file, read_tree
from runner.faults import TaskFault
from runner.sandbox.spec import MIB
from runner.tasks.schema import SECONDS_MAX

HARBOR_VERSION = "0.26.0"  # the release whose tasks this was written and tested with
SCHEMA_VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
TOML_BYTES_MAX = 2**20  # chosen
# A key of more parts than any task's: tomllib's time grows with the square of their number. chosen: 32 parts
LONG_KEY = re.compile(r"""(?:\.[ \t]*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){32}""")
DOCKERFILE_BYTES_MAX = 256 * 1024  # chosen: it is looked through, in time that may grow with the square of it
IMAGE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_:@/-]|\.(?!\.)){0,500}")  # what an engine is asked for
MEMORY_DEFAULT_MB = 1024  # chosen, as for tasks of ours, where a task does not say
MEMORY_MIN_MB = 512  # chosen: what our sandbox needs itself, beside a small workspace
VERIFIER_S = 600.0  # Harbor's default
INTEGERS = range(-(2**63), 2**63)  # those of TOML
NUMBER_MAX = 1e9  # chosen: MiB, seconds or CPUs; what is made of them is finite, and more than there is
STEPS_MAX = 100  # chosen: an image and a container each; tasks in earnest have some three
NAME_CHARS_MAX = 100  # chosen: a folder and an image are called by it
PATH_CHARS_MAX = 1000  # chosen: as task.toml takes them
SCRIPT_BYTES_MAX, SCRIPT_LINE_MAX = 256 * 1024, 1000  # chosen: of a script that is looked through
WORKSPACE = "/workspace"
# Folders that a task cannot have for its own: an image's programs need them, or they are the engine's.
SYSTEM = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
)
# What Harbor or our layer puts there; both of the last two would lie where the links of the first ones lead.
OWN = (
    "/logs", "/tests", "/solution", "/.runner",
    *(f"{top}/.{name}" for top in ("", WORKSPACE) for name in ("logs", "solution")),
)  # fmt: skip
# key of a table -> why it is refused where it is set
REFUSED = {
    "environment.gpus": "wants a GPU",
    "environment.gpu_types": "wants a GPU",
    "environment.tpu": "wants a TPU",
    "environment.mcp_servers": "wants MCP servers beside the agent",
    "environment.healthcheck": "waits for a service, and nothing of the image is started but the agent's shell",
    "verifier.collect": "runs commands before its work is collected",
}
LOST = {
    "agent.user": "the agent's user: every process is one of a user of its own, and never root",
    "verifier.user": "the verifier's user: every process is one of a user of its own, and never root",
    "steps.healthcheck": "a step's health check",
}
# Of a script: what fetches something while it runs.
FETCHES = re.compile(
    r"(?m)^[^#\n]*(?:^|[\s;&|(`])(?:"
    r"(?:curl|wget)\s[^\n]*(?:https?|ftp)://(?!(?:localhost|127\.0\.0\.1))"
    r"|(?:apt|apt-get)\s(?:-\S+\s+)*(?:install|update)"
    r"|apk\s+add|(?:npm|yarn|pnpm)\s+(?:install|ci|add)|conda\s+install|cargo\s+install|gem\s+install"
    r"|(?:pip3?|uv\s+pip|uv\s+tool|python3?\s+-m\s+pip)\s+install(?![^\n]*--no-index)"
    r"|uvx\s(?![^\n]*--offline)|git\s+clone\s[^\n]*(?:https?://|git@))"
)
HOST_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^}]{0,1000}))?\}")


class NotOurs(TaskFault):
    """A task that is refused, with what it wants."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image comes from: one by its name, or a Dockerfile with the files beside it."""

    image: str = ""
    dockerfile: str = ""
    context: Tree = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HarborStep:
    """A step: the only one of most tasks.

    Attributes:
        verifier: the image of the tests; None: the agent's own, with `tests` in it.
        tests: files for /tests; None where the image owns them.
        workdir: its working folder; empty: the image's.
        artifacts: absolute paths that are collected; empty: the agent's whole working folder.
    """

    name: str
    instruction: str
    verifier: Place | None
    tests: Tree | None = field(repr=False)
    workdir: str
    artifacts: tuple[str, ...]
    env: Mapping[str, str]
    wall_s: float
    minimums: Mapping[str, float]
    solution: Tree = field(repr=False)
    files: Tree = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarborTask:
    """What we take of a task.

    Attributes:
        workdir: the agent's working folder; empty: the image's.
        notes: what is lost, a sentence each.
    """

    name: str
    title: str
    schema: str
    environment: Place
    workdir: str
    env: Mapping[str, str]
    solution_env: Mapping[str, str]
    cpus: float
    memory_bytes: int
    storage_bytes: int
    agent_s: float | None
    over_steps: str
    steps: tuple[HarborStep, ...]
    notes: tuple[str, ...]


def read_harbor_task(folder: Path, *, no_network: bool = False) -> HarborTask:
    """A task from its folder.

    Args:
        no_network: a task that says it wants a network is taken all the same, and has none.

    Raises:
        NotOurs: it wants what we do not give.
        TaskFault: it is broken, of a version that is not known, holds links, or cannot be read.
    """
    try:
        if not folder.is_dir():
            raise TaskFault(cause=f"{folder} is not a folder", hint="name the folder that holds the task's task.toml")
        check_plain(folder)
        return _Reader(folder, _toml(folder), no_network).read()
    except OSError as error:
        raise TaskFault(
            cause=f"{folder} cannot be read: {error.strerror}", hint="let all of its files be read"
        ) from error


def _toml(folder: Path) -> dict[str, Any]:
    path = folder / "task.toml"
    content = read_file(folder, path, TOML_BYTES_MAX)
    try:
        text = content.decode("utf-8")
        if LONG_KEY.search(text):
            raise ValueError("a key has more than 32 parts")
        found = tomllib.loads(text)
        _check_values(found)
    except (ValueError, RecursionError) as error:  # of tomllib, and of the numbers that it reads
        raise TaskFault(cause=f"{path} is not valid TOML: {error}", hint="fix the line that it names") from error
    return found


def _check_values(value: Any) -> None:
    """Refuse what no program behind a task could be given.

    Raises:
        ValueError: an integer has more than 64 bits, or a text a NUL.
    """
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            _check_values(one)
    elif isinstance(value, int) and value not in INTEGERS:
        raise ValueError("an integer has more than 64 bits")
    elif isinstance(value, str) and "\0" in value:
        raise ValueError(f"the text {value[:60]!r} has a NUL")


class _Reader:
    """One task's tables, with what was found to be lost."""

    def __init__(self, folder: Path, raw: Mapping[str, Any], no_network: bool) -> None:
        self.folder, self.raw, self.no_network = folder, raw, no_network
        self.path = folder / "task.toml"
        self.notes: list[str] = []

    @functools.cached_property
    def shared_tests(self) -> Tree:
        """Those of the whole task, which each step has."""
        return read_tree(self.folder, self.folder / "tests")

    def refuse(self, what: str, hint: str) -> NotOurs:
        return NotOurs(cause=f"{self.path}: the task {what}", hint=hint)

    def wrong(self, what: str) -> TaskFault:
        return TaskFault(
            cause=f"{self.path}: {what}", hint="fix the value; `harbor lint` says what Harbor thinks of it"
        )

    def table(self, of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found = of.get(name, {})
        if not isinstance(found, dict):
            raise self.wrong(f"{name} is not a table")
        return found

    def tables(self, of: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
        found = of.get(name) or []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.wrong(f"{name} is not a list of tables")
        return found

    def text(self, of: Mapping[str, Any], name: str, default: str = "") -> str:
        found = of.get(name, default)
        if not isinstance(found, str):
            raise self.wrong(f"{name} is not a text")
        return found

    def number(self, of: Mapping[str, Any], name: str) -> float | None:
        found = of.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= NUMBER_MAX:
            raise self.wrong(f"{name} = {str(found)[:60]!r} is not a number over 0, and at most {NUMBER_MAX:g}")
        return float(found)

    def seconds(self, of: Mapping[str, Any], name: str) -> float | None:
        """A time, no longer than one of ours may be."""
        found = self.number(of, name)
        if found is None or found <= SECONDS_MAX:
            return found
        self.notes.append(f"{name} = {found:g}: {SECONDS_MAX:g} s are the most that is given")
        return SECONDS_MAX

    def variables(self, of: Mapping[str, Any], where: str) -> dict[str, str]:
        found = self.table(of, "env")
        if not all(isinstance(value, str) for value in found.values()):
            raise self.wrong(f"{where}.env holds something other than texts")
        for name in found:
            if not name or "=" in name:
                raise self.wrong(f"{where}.env sets {name[:60]!r}, which no variable can be called")
        return {name: self._of_host(f"{where}.env.{name}", value) for name, value in found.items()}

    def _of_host(self, key: str, value: str) -> str:
        for name, sign, _ in HOST_VARIABLE.findall(value):
            if not sign:
                raise self.refuse(
                    f"puts the host's variable {name} into a container ({key})",
                    "no key of the host reaches one",
                )
            self.notes.append(f"{key}: the default is used, and not the host's {name}")
        return HOST_VARIABLE.sub(lambda match: match[3] or "", value)

    # The whole

    def read(self) -> HarborTask:
        raw = self.raw
        self._check_names()
        schema = str(raw.get("schema_version", raw.get("version", "1.0")))
        if schema not in SCHEMA_VERSIONS:
            raise TaskFault(
                cause=f"{self.path}: schema_version {schema[:40]!r} is not known",
                hint=f"known are {', '.join(SCHEMA_VERSIONS)} (Harbor {HARBOR_VERSION}): use a newer runner",
            )
        self._check_refused()
        environment, agent = self.table(raw, "environment"), self.table(raw, "agent")
        if environment.get("skills_dir"):
            self.notes.append("skills for the agent (environment.skills_dir)")
        package = self.table(raw, "task")
        steps = self.tables(raw, "steps")
        memory_mb = self._size(environment, "memory") or MEMORY_DEFAULT_MB
        if memory_mb < MEMORY_MIN_MB:
            self.notes.append(f"memory_mb = {memory_mb:g}: {MEMORY_MIN_MB} MiB are given, which a sandbox needs itself")
            memory_mb = MEMORY_MIN_MB
        place = self._environment(environment)
        found = tuple(self._step(step, place) for step in steps) if steps else (self._step(None, place),)
        return HarborTask(
            name=_name(self.text(package, "name").rpartition("/")[2] or self.folder.resolve().name),
            title=" ".join(self.text(package, "description").split())[:200],
            schema=schema,
            environment=place,
            workdir=self.text(environment, "workdir"),
            env=self.variables(environment, "environment"),
            solution_env=self.variables(self.table(raw, "solution"), "solution"),
            cpus=self.number(environment, "cpus") or 1.0,
            memory_bytes=int(memory_mb * MIB),
            storage_bytes=int((self._size(environment, "storage") or 0) * MIB),
            agent_s=self._agent_s(agent, steps),
            over_steps=self._strategy(),
            steps=found,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _check_names(self) -> None:
        """Each step's folder is called as it is."""
        names = [self.text(step, "name", "main") for step in self.tables(self.raw, "steps")]
        if len(names) > STEPS_MAX:
            raise self.wrong(f"there are {len(names)} steps, {STEPS_MAX} are allowed")
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or len(name) > NAME_CHARS_MAX:
                raise self.wrong(f"the step's name {name[:60]!r} is not a folder's name")
            if names.count(name) > 1:
                raise self.wrong(f"two steps are called {name[:60]!r}")

    def _strategy(self) -> str:
        found = self.text(self.raw, "multi_step_reward_strategy", "mean")
        if found not in ("mean", "final"):
            raise self.wrong(f"multi_step_reward_strategy = {found!r} is neither mean nor final")
        return found

    def _agent_s(self, agent: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> float | None:
        whole = self.seconds(agent, "timeout_sec")
        each = [self.seconds(self.table(step, "agent"), "timeout_sec") or whole for step in steps] or [whole]
        return None if None in each else sum(seconds for seconds in each if seconds is not None)

    def _size(self, of: Mapping[str, Any], name: str) -> float | None:
        """MiB, from the key of today or the older one."""
        old = of.get(name)
        if isinstance(old, str):
            match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG])B?\s*", old.upper())
            if match is None:
                raise self.wrong(f"environment.{name} = {old[:60]!r} is not a size such as 2G")
            size = float(match[1]) * {"K": 1 / 1024, "M": 1.0, "G": 1024.0}[match[2]]
            if size > NUMBER_MAX:
                raise self.wrong(f"environment.{name} = {old[:60]!r} is more than any machine has")
            return size
        return self.number(of, f"{name}_mb")

    # What is refused

    def _check_refused(self) -> None:
        raw, steps = self.raw, self.tables(self.raw, "steps")
        for key, what in REFUSED.items():
            table, _, name = key.partition(".")
            verifiers = [self.table(one, "verifier") for one in (raw, *steps)]
            found = [self.table(one, table) for one in (raw, *(verifiers if table == "environment" else steps))]
            if any(one.get(name) for one in found):
                raise self.refuse(f"{what} ({key})", "play it with Harbor itself")
        for one in (raw, *steps):
            for role in ("agent", "verifier"):
                self._check_role(self.table(one, role), role)
            self._check_network(self.table(one, "environment"), "environment")
            self._check_network(self.table(self.table(one, "verifier"), "environment"), "verifier.environment")
        environment = self.table(raw, "environment")
        if self.text(environment, "os", "linux").lower() != "linux":
            raise self.refuse("wants Windows (environment.os)", "play it with Harbor itself")
        for name in ("docker-compose.yaml", "docker-compose.yml", "compose.yaml"):
            for folder in ("environment", "tests", *(f"steps/{step.get('name')}/tests" for step in steps)):
                if (self.folder / folder / name).exists():
                    raise self.refuse(
                        f"wants several containers ({folder}/{name}: compose)", "play it with Harbor itself"
                    )
        if (self.folder / "trajectory.json").exists():
            raise self.refuse("begins with another agent's trajectory (trajectory.json)", "play it with Harbor itself")

    def _check_role(self, of: Mapping[str, Any], role: str) -> None:
        user = of.get("user")
        if user is not None and str(user).partition(":")[0] in ("0", "root"):
            raise self.refuse(f"wants root for its {role} ({role}.user)", "no process in our sandboxes is root")
        if user is not None:
            self.notes.append(LOST[f"{role}.user"])
        self._check_network(of, role)

    def _check_network(self, of: Mapping[str, Any], where: str) -> None:
        mode = of.get("network_mode", "public" if of.get("allow_internet") else None)
        if mode in (None, "no-network"):
            return
        wants = f"wants a network at run time ({where}.network_mode = {mode!r})"
        if mode != "public" or not self.no_network:
            hint = "there is none in our sandboxes"
            hint += "; if it can do without, import it with --no-network" if mode == "public" else ""
            raise self.refuse(wants, hint)
        self.notes.append(f"the network that {where} is given")

    def _check_script(self, name: str, content: bytes) -> None:
        text = content[:SCRIPT_BYTES_MAX].decode("utf-8", "replace")
        matches = (FETCHES.search(line[:SCRIPT_LINE_MAX]) for line in text.splitlines())
        if (match := next(filter(None, matches), None)) is not None:
            line = match.group().strip()[:80]
            raise self.refuse(
                f"fetches from a network while it is tested ({name}: {line})",
                "have tests/Dockerfile put it into the image, and import with --build-network",
            )

    # Parts

    def _environment(self, environment: Mapping[str, Any]) -> Place:
        return self._place(environment, self.folder / "environment", "environment")

    def _place(self, environment: Mapping[str, Any], folder: Path, where: str) -> Place:
        image = self.text(environment, "docker_image")
        if image:
            if not IMAGE_NAME.fullmatch(image):
                raise self.wrong(f"{where}.docker_image = {image[:60]!r} is no image's name")
            return Place(image=image)
        if not (folder / "Dockerfile").exists():
            raise self.wrong(f"there is neither {where}.docker_image nor {folder.name}/Dockerfile")
        context = read_tree(self.folder, folder)
        if "Dockerfile" not in context:
            raise self.wrong(f"{folder.name}/Dockerfile is not a file")
        if (size := len(context["Dockerfile"][0])) > DOCKERFILE_BYTES_MAX:
            raise self.wrong(f"{folder.name}/Dockerfile has {size} bytes, {DOCKERFILE_BYTES_MAX} are allowed")
        return Place(dockerfile=context["Dockerfile"][0].decode("utf-8", "replace"), context=context)

    def _step(self, step: Mapping[str, Any] | None, environment: Place) -> HarborStep:
        raw, own = self.raw, step or {}
        name = self.text(own, "name", "main")
        home = self.folder / "steps" / name if step is not None else self.folder
        if step is not None and own.get("healthcheck"):
            self.notes.append(LOST["steps.healthcheck"])
        whole, mine = self.table(raw, "verifier"), self.table(own, "verifier")
        verifier = {**whole, **mine}
        is_separate = self._is_separate(mine) if self._mode(mine) is not None else self._is_separate(whole)
        tests = {**self.shared_tests, **(read_tree(self.folder, home / "tests") if step is not None else {})}
        place = self._verifier(whole, mine, home) if is_separate else None
        bundled = place is not None
        if not bundled and "test.sh" not in tests:
            raise self.wrong(f"step {name} has no tests/test.sh" if step is not None else "there is no tests/test.sh")
        for file, (content, _) in tests.items():
            if file.endswith(".sh"):
                self._check_script(f"tests/{file}", content)
        artifacts = [*self._artifacts(raw), *(self._artifacts(own) if step is not None else [])] if is_separate else []
        return HarborStep(
            name=name,
            instruction=read_file(self.folder, home / "instruction.md").decode("utf-8", "replace"),
            verifier=place if bundled else None if not is_separate else environment,
            tests=None if bundled else tests,
            workdir=self.text(self.table(verifier, "environment"), "workdir") if is_separate else "",
            artifacts=tuple(dict.fromkeys(artifacts)) if is_separate else (),
            env={
                **self.variables(self.table(verifier, "environment"), "verifier.environment"),
                **self.variables(whole, "verifier"),
                **self.variables(mine, "steps.verifier"),
            },
            wall_s=self.seconds(verifier, "timeout_sec") or VERIFIER_S,
            minimums=self._minimums(own),
            solution=read_tree(self.folder, home / "solution"),
            files=read_tree(self.folder, home / "workdir") if step is not None else {},
        )

    def _mode(self, verifier: Mapping[str, Any]) -> str | None:
        mode = verifier.get("environment_mode", "separate" if verifier.get("environment") else None)
        if mode not in (None, "shared", "separate"):
            raise self.wrong(f"verifier.environment_mode = {mode!r} is neither shared nor separate")
        return None if mode is None else str(mode)

    def _is_separate(self, verifier: Mapping[str, Any]) -> bool:
        return self._mode(verifier) == "separate"

    def _verifier(self, whole: Mapping[str, Any], mine: Mapping[str, Any], home: Path) -> Place | None:
        """The image that owns its tests; None: the agent's, into which they are put."""
        for verifier, folder in ((mine, home / "tests"), (whole, self.folder / "tests")):
            environment = self.table(verifier, "environment")
            if self.text(environment, "docker_image") or (folder / "Dockerfile").exists():
                return self._place(environment, folder, "verifier.environment")
        return None

    def _artifacts(self, of: Mapping[str, Any]) -> list[str]:
        found = of.get("artifacts") or []
        if not isinstance(found, list):
            raise self.wrong("artifacts is not a list")
        return [self._artifact(one) for one in found]

    def _artifact(self, one: Any) -> str:
        entry = {"source": one} if isinstance(one, str) else one
        if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
            raise self.wrong(f"the artifact {str(one)[:80]!r} has no source")
        if entry.get("service") not in (None, "main"):
            raise self.refuse(
                f"collects from another container ({entry['service']}: compose)", "play it with Harbor itself"
            )
        if entry.get("exclude"):
            self.notes.append(f"patterns that are left out of {entry['source']}: all of it is collected")
        source = str(entry["source"])
        if ".." in PurePosixPath(source).parts or "\0" in source:
            raise self.wrong(f"the artifact {source!r} leads out of its folder")
        return source

    def _minimums(self, step: Mapping[str, Any]) -> dict[str, float]:
        found = step.get("min_reward")
        if found is None:
            return {}
        bars = found if isinstance(found, dict) else {"reward": found}
        if not all(
            isinstance(bar, int | float) and not isinstance(bar, bool) and math.isfinite(bar) for bar in bars.values()
        ):
            raise self.wrong("min_reward is not a number, or a table of numbers")
        return {str(name): float(bar) for name, bar in bars.items()}


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:NAME_CHARS_MAX].strip("_-") or "imported"


def check_root(path: str, what: str) -> str:
    """A folder of a container that can lie in our workspace, without a slash at its end.

    Raises:
        NotOurs: it cannot.
    """
    if not path.isprintable() or len(path) > PATH_CHARS_MAX:
        raise NotOurs(
            cause=f"{what} is {path[:60]!r}, which no task of ours can name",
            hint="let the task work in a folder such as /app",
        )
    pure = PurePosixPath("/", *(step for step in path.split("/") if step not in ("", ".")))
    found = str(pure)
    own = any(
        found == other or found.startswith(f"{other}/") for other in (*OWN, "/tmp", "/dev", "/proc", "/sys", "/etc")
    )
    if not path.startswith("/") or ".." in pure.parts or found in SYSTEM or own:
        raise NotOurs(
            cause=f"{what} is {path}, which is read-only or no task's own in our sandboxes",
            hint="let the task work in a folder such as /app (WORKDIR in its Dockerfile, or environment.workdir)",
        )
    return found
