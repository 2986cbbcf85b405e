"""What other programs make of us: each peer's own package, in an environment of its own, against our code.

`python -m tests.peers [--folder FOLDER] [NAME ...]` runs the tests of each peer that is named (all, where none is) and says
of which version; `--list` names them. A peer is a file `with_NAME.py` in this folder: what it needs stands at its top as
inline script metadata (`requires-python`, and `dependencies` pinned with `==`, the peer itself first), below that are
ordinary tests. Environments are kept and used again (default: build/peers). Peers cannot share one: their pins contradict.

A peer that cannot be installed here, or needs a Python that is not here, is named as not run. Exit status 1 where a test of
one failed, or none of them was run.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from filelock import FileLock
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.pythons import VERSIONS, found

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
PREFIX = "with_"
METADATA = re.compile(r"^# /// script$\n(?P<content>(?:^#(?:| .*)$\n)+?)^# ///$", re.MULTILINE)  # as PEP 723 has it
FOR_TESTS = ("pytest>=8.3", "hypothesis>=6.112")
NOT_RUN = "not run: "


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that is tested together with ours.

    Attributes:
        file: its tests, with what it needs at the top.
        requires_python: versions of Python that it runs on.
        dependencies: pinned; the peer itself is the first.
    """

    name: str
    file: Path
    requires_python: str
    dependencies: tuple[str, ...]


class NotInstalled(Exception):
    """A peer's environment cannot be made on this machine; the text is one line."""


def peer_of(file: Path) -> Peer:
    """The peer whose tests a file holds.

    Raises:
        ValueError: what it needs does not stand at the top, or is not pinned.
    """
    match = METADATA.search(file.read_text())
    if match is None:
        raise ValueError(f"{file.name} does not say what it needs")
    lines = match["content"].splitlines()
    needs = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    dependencies = tuple(needs["dependencies"])
    loose = [one for one in dependencies if not str(Requirement(one).specifier).startswith("==")]
    if loose or not dependencies:
        raise ValueError(f"{file.name}: pin with == what it needs: {', '.join(loose) or 'nothing is named'}")
    return Peer(file.stem.removeprefix(PREFIX), file, needs["requires-python"], dependencies)


def peers() -> dict[str, Peer]:
    """Every peer by its name."""
    return {peer.name: peer for peer in map(peer_of, sorted(FOLDER.glob(f"{PREFIX}*.py")))}


def interpreter(peer: Peer) -> str:
    """The interpreter for a peer: this one where it fits, else the newest that does.

    Raises:
        NotInstalled: none that fits is on this machine.
    """
    wanted = SpecifierSet(peer.requires_python)
    if wanted.contains(".".join(map(str, sys.version_info[:3]))):
        return sys.executable
    # A later bugfix release of each, since a peer may want one.
    fitting = [found(version) for version in reversed(VERSIONS) if wanted.contains(f"{version}.99")]
    for python in filter(None, fitting):
        return python
    raise NotInstalled(f"needs Python {peer.requires_python}, which is not on this machine")


def environment(peer: Peer, folder: Path) -> str:
    """The interpreter of an environment with the peer, this project and pytest; made again where their pins changed.

    Raises:
        NotInstalled: something cannot be installed.
    """
    place, python = folder / peer.name, interpreter(peer)
    wanted = [*peer.dependencies, *FOR_TESTS]
    about = json.dumps([wanted, python, str(PROJECT), (PROJECT / "pyproject.toml").read_text()])
    stamp, digest = place / "made", hashlib.sha256(about.encode()).hexdigest()
    mine = str(place / "bin" / "python")
    if stamp.is_file() and stamp.read_text() == digest:
        return mine
    stamp.unlink(missing_ok=True)
    for command in (
        [python, "-m", "venv", "--clear", str(place)],
        [mine, "-m", "pip", "install", "--quiet", *wanted, "--editable", str(PROJECT)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            errors = [line for line in said if line.startswith("ERROR:")] or said or [f"status {done.returncode}"]
            raise NotInstalled(f"cannot be installed: {errors[-1].removeprefix('ERROR: ')}")
    stamp.write_text(digest)
    return mine


def version(peer: Peer, python: str) -> str:
    """What is installed of it."""
    code = "import sys, importlib.metadata as found; print(found.version(sys.argv[1]))"
    name = Requirement(peer.dependencies[0]).name
    done = subprocess.run([python, "-c", code, name], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def trial(peer: Peer, folder: Path) -> tuple[str, str]:
    """(version, what came of it) of a peer's tests."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{peer.name}.lock"):
        try:
            python = environment(peer, folder)
        except NotInstalled as error:
            return "", f"{NOT_RUN}{error}"
        report = folder / f"{peer.name}.xml"
        report.unlink(missing_ok=True)
        options = ["-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        status = subprocess.call([python, "-m", "pytest", *options, str(peer.file)], cwd=PROJECT)
        return version(peer, python), verdict(status, report)


def verdict(status: int, report: Path) -> str:
    """What pytest's exit status and report say; a test that was left out is no pass.

    Args:
        report: JUnit XML, of pytest; absent where it did not come to its tests.
    """
    if not report.is_file():
        return f"failed: pytest ended with {status}, and no report"
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    if status != 0 or tests == 0:
        return f"failed: {int(suite.attrib['failures']) + int(suite.attrib['errors'])} of {tests} tests"
    return f"failed: {skipped} of {tests} tests were skipped" if skipped else f"passed: {tests} tests"


def main(arguments: Sequence[str]) -> int:
    """Try each peer, and say at the end what came of each."""
    known = peers()
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description="Our code against other programs' own.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}; all where none is given")
    parser.add_argument("--folder", type=Path, default=PROJECT / "build" / "peers", help="of the environments")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)}; there are: {', '.join(known)}")
    if given.list:
        print("\n".join(f"{peer.name:12} {', '.join(peer.dependencies)}" for peer in known.values()))
        return 0
    said = {}
    for name in given.names or known:
        print(f"== {name}: {', '.join(known[name].dependencies)}", flush=True)
        said[name] = trial(known[name], given.folder.absolute())
    print("\n".join(f"{name:12} {number:12} {words}" for name, (number, words) in said.items()))
    tried = [words for _, words in said.values() if not words.startswith(NOT_RUN)]
    return int(not tried or any(words.startswith("failed") for words in tried))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
