"""Which flags go with several hosts, and which only with this one."""

from runner.cli.options import flag_of
from runner.faults import UsageFault
from runner.job.agents import kind_of


def check_alone(given: frozenset[str]) -> None:
    """Refuse what only several hosts give a meaning.

    Raises:
        UsageFault: it was given.
    """
    for name in sorted(given & {"share", "hosts"}):
        raise UsageFault(cause=f"--{name} has no meaning without --ray", hint="name the cluster: --ray HOST:PORT")


def check_fits_hosts(given: frozenset[str], agent: str) -> None:
    """Refuse what only this machine has, and other hosts would not get.

    Raises:
        UsageFault: it was given.
    """
    kind = kind_of(agent)
    if kind not in ("model", "command", "scripted", "oracle", "noop"):
        raise UsageFault(
            cause=f"--agent {agent} lies on this machine, and --ray plays on others",
            hint="choose model, command, scripted, oracle or noop, or play here",
        )
    check_hosts_own(given)
    here = {"upload": "put the file into the task's workspace", "system_prompt": "put it into the task as system.md"}
    keys = {"base_url": "set ANTHROPIC_BASE_URL or OPENAI_BASE_URL on each host, beside its key"}
    resumes = {"resume_episodes": "leave it out: interrupted episodes start over"}
    for name, hint in {**here, **keys, **resumes}.items():
        if name in given:
            raise UsageFault(cause=f"{flag_of(name)} has no meaning with --ray", hint=hint)


def check_hosts_own(given: frozenset[str]) -> None:
    """Refuse what each host decides for itself.

    Raises:
        UsageFault: it was given.
    """
    if "allow_unenforced" in given:
        raise UsageFault(
            cause=f"{flag_of('allow_unenforced')} has no meaning with --ray: each host says it for itself",
            hint="give it to `python -m runner host` there, or set RUNNER_ALLOW_UNENFORCED before",
        )
