"""Each Python that the project supports: the fast suite and one real job in an environment of its own.

`python -m tests.pythons [FOLDER]` (default: build/pythons). One that is not on this machine is named as not run. Exit status
1 where one of those that are here fails, or none is here.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
FAST = ("-m", "pytest", "-q", "-m", "not engine and not slow")
JOB = ("-m", "runner", "--runs", "2", "--task", "slow_nbody", "--scale", "small", "--agent", "oracle", "--quiet")
INCONCLUSIVE = 5  # of `runner`: the host was loaded, the program is whole


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    """uv, of this environment."""
    return subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)


def found(version: str) -> str | None:
    """The interpreter of a version, from the PATH, from pyenv or from uv; None where none is here. Nothing is downloaded."""
    name = f"python{version}"
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"), reverse=True)
    asked = uv("python", "find", "--no-python-downloads", "--managed-python", version).stdout.strip()
    candidates = [shutil.which(name) or "", *map(str, kept), asked]
    return next((python for python in candidates if python and _is_version(python, version)), None)


def _is_version(python: str, version: str) -> bool:
    """Whether it runs, and is of that version: a shim of pyenv may stand for one that it does not start."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == version


def environment(python: str, folder: Path) -> str:
    """A new environment with the locked dependencies; its interpreter.

    Raises:
        RuntimeError: they cannot be installed.
    """
    steps = (
        ("venv", "--quiet", "--clear", "--seed", "--python", python, str(folder)),
        ("pip", "install", "--quiet", "--require-hashes", "--python", str(folder), "-r", "requirements-dev.lock"),
    )
    for step in steps:
        done = uv(*step)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
    return str(folder / "bin" / "python")


def trial(python: str, folder: Path) -> str:
    """What came of a Python: `passed`, or what failed."""
    try:
        mine = environment(python, folder)
    except RuntimeError as error:
        return f"failed: its environment cannot be made: {error}"
    if subprocess.call([mine, *FAST], cwd=PROJECT) != 0:
        return "failed: the fast suite"
    job = subprocess.call([mine, *JOB, "--output", str(folder / "output")], cwd=PROJECT)
    return "passed" if job in (0, INCONCLUSIVE) else f"failed: the job ended with {job}"


def main(arguments: Sequence[str]) -> int:
    """Try each version, and say at the end what came of each."""
    folder = Path(arguments[0] if arguments else PROJECT / "build" / "pythons").absolute()
    said = {}
    for version in VERSIONS:
        python = found(version)
        print(f"== Python {version}: {python or 'not on this machine'}", flush=True)
        said[version] = trial(python, folder / version) if python else "not run: not on this machine"
    print("\n".join(f"Python {version}: {words}" for version, words in said.items()))
    tried = [words for words in said.values() if not words.startswith("not run")]
    return int(not tried or any(words != "passed" for words in tried))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
