"""The file tools against a model of a file system, in a process of their own: any names, contents and arguments.

Each request has one answer that can be sent, is bounded, can be shown, and says what is there; what it was not asked to
change, stays as it was. The text that runs in a sandbox is not imported here: another Python runs it, on its own folder.
"""

import base64
import json
import os
import re
import stat
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from runner.sandbox.container import INSIDE, REPLY_BODY_BYTES_MAX
from runner.sandbox.wire import HEAD_BYTES_MAX, decode_head

pytestmark = pytest.mark.slow  # runs the file tools in a process of their own

BYTES_MAX = 2_000  # of what a view shows
NOTICE_BYTES_MAX = 100

# Runs the file tools on a folder: a line of JSON in, a line of JSON out. No part of it can end a process.
SERVER = """
import base64, json, sys
for part in sys.argv[1:]:
    exec(compile(open(part, encoding="utf-8").read(), part, "exec"))
for line in sys.stdin:
    WORKSPACE, head, body = json.loads(line)
    body = base64.b64decode(body)
    head, body = answer_of(lambda: FILE_REQUESTS[head["op"]](head, body))
    print(json.dumps([json.dumps(head), base64.b64encode(body).decode()]), flush=True)
"""


class Tools:
    """The file tools of a sandbox, over a folder of ours."""

    def __init__(self) -> None:
        parts = [str(INSIDE / name) for name in ("frames.py", "replies.py", "files.py")]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", SERVER, *parts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.folder = ""

    def __call__(self, op: str, path: str, body: bytes = b"", **more: Any) -> tuple[dict[str, Any], bytes]:
        assert self.process.stdin is not None and self.process.stdout is not None
        request = [self.folder, {"op": op, "path": path, **more}, base64.b64encode(body).decode()]
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        head, answer = json.loads(self.process.stdout.readline())
        assert len(head) <= HEAD_BYTES_MAX
        return decode_head(head.encode()), base64.b64decode(answer)

    def view(self, path: str, view_range: list[int] | None = None, bytes_max: int = BYTES_MAX) -> str:
        head, body = self("view", path, view_range=view_range, bytes_max=bytes_max)
        text = body.decode() if head["ok"] else head["error"]
        assert_can_be_shown(text)
        return str(text)

    def error(self, op: str, path: str, body: bytes = b"", **more: Any) -> str:
        head, _ = self(op, path, body, **more)
        assert not head["ok"]
        assert_can_be_shown(head["error"])
        return str(head["error"])


def assert_can_be_shown(text: str) -> None:
    assert len(text.encode()) <= BYTES_MAX + NOTICE_BYTES_MAX
    assert [
        char for char in text if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") and char not in "\t\n"
    ] == []


@pytest.fixture(scope="module")
def server() -> Iterator[Tools]:
    tools = Tools()
    yield tools
    tools.process.kill()
    tools.process.communicate()


@pytest.fixture
def tools(server: Tools, tmp_path: Path) -> Tools:
    server.folder = str(tmp_path)
    return server


# Cases of which each broke a sandbox, or was not true


def test_a_name_that_is_no_utf8_is_shown_as_bash_takes_it(tools: Tools, tmp_path: Path) -> None:
    for name in (
        b"\xff\x80",
        b"a\nb",
        b"\x1b[31m",
        b"plain",
        "ä".encode(),
        b"$'x'",
        b"[... 1 more names ...]",
        b"it's",
    ):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    shown = tools.view(".").splitlines()
    assert len(shown) == 8
    names = " ".join(name if name[0] == "$" else f'"{name}"' for name in shown)
    quoted = subprocess.run(
        ["bash", "-c", f'for name in {names}; do test -e "$name" || echo "$name"; done'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (quoted.stdout, quoted.stderr) == (b"", b"")


def test_a_folder_of_more_names_than_fit_says_how_many_more(tools: Tools, tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"file-{number:04}").write_bytes(b"")
    *names, last = tools.view(".").splitlines()
    assert names == [f"file-{number:04}" for number in range(len(names))]
    assert last == f"[... {1000 - len(names)} more names ...]"


def test_a_file_of_blank_lines_fits_into_a_frame(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "blank").write_bytes(b"\n" * (2 * 1024 * 1024))
    assert tools.view("blank").endswith("to 2097152 are not shown: give a view_range ...]\n")
    assert tools.view("blank", [2097152, -1]) == "2097152\t\n"


def test_a_file_that_is_too_large_is_an_error_that_says_what_to_do(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"\n" * (12 * 1024 * 1024))
    assert "the limit is 2097152; read and edit larger files with bash" in tools.view("large")
    head, _ = tools("read", "large", bytes_max=17 * 1024 * 1024)
    assert head["ok"]
    (tmp_path / "large").write_bytes(b"\n" * (REPLY_BODY_BYTES_MAX + 1))
    assert "the answer has 16777217 bytes" in tools.error("read", "large", bytes_max=2 * REPLY_BODY_BYTES_MAX)


def test_one_line_that_is_too_long_is_cut(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"\xff" * 100_000 + b"\nshort\n")
    assert "more bytes ...]\n[... lines 2 to 2 are not shown" in tools.view("long")


def test_a_line_that_is_too_long_behind_a_million_others_is_cut_once(tools: Tools, tmp_path: Path) -> None:
    """More than the notices and the host would cut it again."""
    (tmp_path / "long").write_bytes(b"\n" * 1_000_000 + b"\x01" * 500_000 + b"\n" * 590_000)
    tools.view("long", [1_000_001, -1])


def test_an_empty_file_and_an_empty_folder_say_so(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert (tools.view("empty"), tools.view("folder")) == (
        "[... the file is empty ...]\n",
        "[... the folder is empty ...]\n",
    )


def test_an_edit_keeps_the_executable_bit_and_what_else_lies_there(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"echo a\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / ".run.sh.new").write_bytes(b"mine")
    for op, body, more in (
        ("str_replace", b"ab", {"old_bytes": 1}), ("insert", b"x", {"insert_line": 0}), ("create", b"y", {}),
    ):  # fmt: skip
        assert tools(op, "run.sh", body, **more)[0]["ok"]
        assert stat.S_IMODE((tmp_path / "run.sh").stat().st_mode) == 0o755
    assert (tmp_path / ".run.sh.new").read_bytes() == b"mine"


def test_a_file_with_cr_lf_is_edited_as_it_is_shown(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "dos").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    assert tools.view("dos") == "     1\tone\n     2\ttwo\n     3\tthree\n"
    tools("str_replace", "dos", b"one\ntwo2\n1", old_bytes=7)
    tools("insert", "dos", b"last", insert_line=3)
    assert (tmp_path / "dos").read_bytes() == b"2\r\n1\r\nthree\r\nlast\r\n"


def test_lines_are_those_of_grep_and_wc(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes("a\fb\u2028c\x85d\re\nf".encode())
    assert tools.view("odd") == "     1\ta\\x0cb\\u2028c\\x85d\\x0de\n     2\tf\n"
    tools("insert", "odd", b"new", insert_line=1)
    assert (tmp_path / "odd").read_bytes() == "a\fb\u2028c\x85d\re\nnew\nf".encode()


def test_places_that_overlap_are_two(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"aaa")
    assert "occurs 2 times" in tools.error("str_replace", "a", b"aab", old_bytes=2)


def test_a_file_whose_name_says_folder_is_no_folder(tools: Tools) -> None:
    assert "No such file" in tools.error("view", "is a folder", view_range=None, bytes_max=100)


def test_a_failure_of_whatever_kind_is_an_answer(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert tools.error("view", "a", view_range=None) == "the tool failed: KeyError: 'bytes_max'"
    assert tools.error("insert", "a", insert_line="x").startswith("the tool failed: TypeError")
    assert tools.error("create", "\ud800").startswith("the tool failed: UnicodeEncodeError")


@pytest.mark.parametrize("line", [b"\n", b"ab\n", b"a\r\n", b"\x01"])
def test_a_file_of_many_lines_takes_no_more_memory_than_a_few_copies_of_it(tmp_path: Path, line: bytes) -> None:
    """PID 1 has 48 MiB at the least, its interpreter included: more would end it where the file systems are full."""
    names: dict[str, Any] = {}
    for part in ("frames.py", "replies.py", "files.py"):
        exec(compile((INSIDE / part).read_text(), part, "exec"), names)
    names["WORKSPACE"] = str(tmp_path)
    (tmp_path / "a").write_bytes(line * ((2 * 1024 * 1024 - 10) // len(line)))
    tracemalloc.start()
    for op, body, more in (
        ("view", b"", {"view_range": None, "bytes_max": 30_000}), ("insert", b"x", {"insert_line": 0}),
        ("view", b"", {"view_range": [2, -1] if b"\n" in line else [1, 1], "bytes_max": 30_000}),
    ):  # fmt: skip
        assert names["FILE_REQUESTS"][op]({"path": "a", **more}, body)[0]["ok"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 1024 * 1024


# Any names, contents and arguments

PIECES = [
    b"a", b"", b"\n", b"\r\n", b"\r", b"\x0c", b"\xe2\x80\xa8", b"\x1b[2J", b"\xff", b"\xed\xa0\x80", b"\xc3\xa4",
    b"\x85", b"\0",
]  # fmt: skip
CONTENTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    st.binary(max_size=40),
    st.sampled_from([b"x" * 5_000, b"\n" * 3_000]),
)
NO_NAMES = ("", ".", "..", b"", b".", b"..")
RAW_NAMES = st.binary(max_size=12).filter(lambda name: not {b"/"[0], 0} & set(name) and name not in NO_NAMES)
NAMES = st.text(max_size=8).filter(lambda name: not {"/", "\0"} & set(name) and name not in NO_NAMES)
STEPS = st.one_of(NAMES, st.sampled_from([".", "..", ""]))
PATHS = st.one_of(st.text(max_size=30), st.lists(STEPS, max_size=70).map("/".join))
NUMBERS = st.integers(-2, 20) | st.integers(-(2**70), 2**70)


def lines_in(content: bytes) -> list[bytes]:
    """As `sed -n Np` counts them."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def is_dos(content: bytes) -> bool:
    return b"\n" in content and re.search(rb"(?<!\r)\n", content) is None


def as_shown(line: bytes, dos: bool) -> str:
    text = re.sub(rb"\r\n\Z" if dos else rb"\n\Z", b"", line).decode("utf-8", "backslashreplace")
    return "".join(
        char
        if char == "\t" or unicodedata.category(char) not in ("Cc", "Zl", "Zp")
        else (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")
        for char in text
    )


class FileSystem(RuleBasedStateMachine):
    """A workspace of files of any names; the model is a mapping from a name to content and mode."""

    tools: Tools
    files = Bundle("files")

    @initialize()
    def start(self) -> None:
        import tempfile

        self.temporary = tempfile.TemporaryDirectory()
        self.tools = TOOLS[0]
        self.tools.folder = self.temporary.name
        self.model: dict[bytes, tuple[bytes, int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "temporary"):
            self.temporary.cleanup()

    def at(self, name: bytes) -> bytes:
        return os.fsencode(self.temporary.name) + b"/" + name

    @rule(target=files, name=RAW_NAMES, content=CONTENTS, mode=st.sampled_from([0o644, 0o755, 0o600]))
    def the_agent_writes(self, name: bytes, content: bytes, mode: int) -> Any:
        with open(self.at(name), "wb") as file:  # noqa: PTH123 - a Path cannot be any bytes
            file.write(content)
        os.chmod(self.at(name), mode)  # noqa: PTH101
        self.model[name] = (content, mode)
        try:
            return name.decode()
        except UnicodeDecodeError:
            return multiple()

    @rule(target=files, name=NAMES, content=CONTENTS)
    def create(self, name: str, content: bytes) -> Any:
        head, _ = self.tools("create", name, content)
        try:
            key = name.encode()
        except UnicodeEncodeError:
            assert not head["ok"]
            return multiple()
        assert head["ok"] == (len(key) <= 255)
        if head["ok"]:
            self.model[key] = (content, self.model.get(key, (b"", 0o644))[1])
        return name

    @rule(name=files, first=NUMBERS, last=NUMBERS, whole=st.booleans())
    def view(self, name: str, first: int, last: int, whole: bool) -> None:
        content = self.model[name.encode()][0]
        lines, dos = lines_in(content), is_dos(content)
        shown = self.tools.view(name, None if whole else [first, last])
        if whole or (not lines and first == 1):
            first, last = 1, -1
        last = len(lines) if last == -1 else min(last, len(lines))
        if not lines and first == 1:
            assert shown == "[... the file is empty ...]\n"
        elif not 1 <= first <= last:
            assert "does not fit a file of" in shown
        else:
            wanted = [f"{n:6}\t{as_shown(line, dos)}\n" for n, line in enumerate(lines, 1)][first - 1 : last]
            self.is_head_of(shown, wanted, first, last)

    def is_head_of(self, shown: str, wanted: list[str], first: int, last: int) -> None:
        """Whole lines from the first, then what is missing; but one that is too long by itself is cut."""
        if len("".join(wanted).encode()) <= BYTES_MAX:
            assert shown == "".join(wanted)
            return
        *lines, end = shown.split("\n")[:-1] or [""]
        if "more bytes ...]" in (lines or [end])[0]:
            assert len(wanted[0].encode()) > BYTES_MAX and wanted[0].startswith(
                (lines or [end])[0].partition("[... ")[0]
            )
            lines = [wanted[0][:-1]]
            if len(wanted) == 1:
                return
        assert "".join(line + "\n" for line in lines) == "".join(wanted[: len(lines)])
        assert end == f"[... lines {first + len(lines)} to {last} are not shown: give a view_range ...]"

    @rule(name=files, data=st.data(), new=CONTENTS)
    def str_replace(self, name: str, data: st.DataObject, new: bytes) -> None:
        content, mode = self.model[name.encode()]
        cuts = sorted(data.draw(st.integers(0, len(content))) for _ in range(2))
        old = data.draw(st.just(content[slice(*cuts)]) | CONTENTS)
        dos = is_dos(content)
        old_there = re.sub(rb"\r?\n", b"\r\n", old) if dos else old
        places = [m.start() for m in re.finditer(b"(?=" + re.escape(old_there) + b")", content)] if old else []
        head, _ = self.tools("str_replace", name, old + new, old_bytes=len(old))
        assert head["ok"] == (len(places) == 1), head
        if len(places) == 1:
            new = re.sub(rb"\r?\n", b"\r\n", new) if dos else new
            at = places[0]
            self.model[name.encode()] = (content[:at] + new + content[at + len(old_there) :], mode)
        else:
            assert_can_be_shown(head["error"])

    @rule(name=files, line=NUMBERS, new=CONTENTS)
    def insert(self, name: str, line: int, new: bytes) -> None:
        content, mode = self.model[name.encode()]
        lines = lines_in(content)
        head, _ = self.tools("insert", name, new, insert_line=line)
        assert head["ok"] == (0 <= line <= len(lines))
        if not head["ok"]:
            return
        end = b"\r\n" if is_dos(content) else b"\n"
        new = re.sub(rb"\r?\n", b"\r\n", new) if is_dos(content) else new
        new = new if new.endswith(b"\n") else new + end
        if line and not lines[line - 1].endswith(b"\n"):
            lines[line - 1] += end
        self.model[name.encode()] = (b"".join([*lines[:line], new, *lines[line:]]), mode)

    @rule(name=files, bytes_max=st.integers(0, 6_000))
    def read(self, name: str, bytes_max: int) -> None:
        head, body = self.tools("read", name, bytes_max=bytes_max)
        content = self.model[name.encode()][0]
        assert (head["ok"], body) == ((True, content) if len(content) <= bytes_max else (False, b""))

    @rule()
    def list_names(self) -> None:
        *lines, rest = self.tools.view(".").split("\n")
        assert rest == "" and len(lines) == max(1, len(self.model))

    @rule(
        path=PATHS, op=st.sampled_from(["view", "create", "str_replace", "insert", "read"]), body=st.binary(max_size=9)
    )
    def whatever(self, path: str, op: str, body: bytes) -> None:
        """A path of any form, and arguments that fit no file: one answer, and nothing is touched."""
        if op == "create":
            path = "/outside/" + path
        more = {"view_range": None, "bytes_max": BYTES_MAX, "old_bytes": 0, "insert_line": 2**31}
        head, answer = self.tools(op, path, body, **more)
        assert_can_be_shown(answer.decode("utf-8", "backslashreplace") if op == "view" else head.get("error", ""))

    @invariant()
    def the_folder_is_as_the_model_has_it(self) -> None:
        if not hasattr(self, "temporary"):
            return
        found = {}
        for entry in os.scandir(os.fsencode(self.temporary.name)):
            with open(entry.path, "rb") as file:  # noqa: PTH123
                found[entry.name] = (file.read(), stat.S_IMODE(entry.stat().st_mode))
        assert found == self.model


TOOLS: list[Tools] = []


@pytest.fixture(autouse=True)
def _tools(server: Tools) -> None:
    TOOLS[:] = [server]


TestAnyFileSystem = FileSystem.TestCase
