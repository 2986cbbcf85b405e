"""An engine where there is none: on Debian and its kin with root it is installed and started, elsewhere told how."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from runner.faults import EngineUnreachable
from runner.sandbox.engine import APT_INSTALL, Engine, find_engine
from runner.settings import Settings

LOG = Path("/var/log/dockerd-runner.log")
START_DEADLINE_S = 60.0  # chosen: far over what a fresh engine needs


def ensure_engine(settings: Settings, say: Callable[[str], None], ask: Callable[[str], bool]) -> Engine:
    """The engine that answers, installed and started where that is possible.

    Args:
        ask: asked before anything is installed or started; False ends it.

    Raises:
        EngineUnreachable: there is none, and it could not be fixed here.
    """
    try:
        return find_engine(settings)
    except EngineUnreachable as fault:
        if settings.docker_host or not can_install():
            raise
        say(f"{fault.cause}: installing and starting one (docker.io)")
        if not ask("Install docker.io with apt and start dockerd?"):
            raise
    if shutil.which("dockerd") is None:
        _run(["apt-get", "update"])
        _run(APT_INSTALL.split())
    _start(say)
    return _wait(settings)


def can_install() -> bool:
    """Root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip()[-500:]
        raise EngineUnreachable(
            cause=f"`{' '.join(command)}` failed: {tail}", hint="run it by hand and fix what it says"
        )


def _start(say: Callable[[str], None]) -> None:
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "start", "docker"])
        return
    say(f"starting dockerd in the background (log: {LOG})")
    with LOG.open("ab") as log:
        subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )  # it outlives this process on purpose: the engine is the machine's, not ours


def _wait(settings: Settings) -> Engine:
    end = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            return find_engine(settings)
        except EngineUnreachable as fault:
            if time.monotonic() > end:
                tail = LOG.read_text(errors="replace")[-500:] if LOG.exists() else ""
                raise EngineUnreachable(
                    cause=f"dockerd did not come up in {START_DEADLINE_S:g} s: {fault.cause}; its log ends: {tail!r}",
                    hint=f"fix what {LOG} says, then try again",
                ) from fault
            time.sleep(0.2)
