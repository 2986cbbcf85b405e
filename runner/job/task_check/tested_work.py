"""The check of a task whose work a script tests: its solution must pass, and an untouched workspace must not."""

from collections.abc import Callable, Iterator

from runner.agents.oracle import make_noop, make_oracle
from runner.agents.protocol import AgentContext, MakeAgent
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_all
from runner.job.run_episode import EndedEpisode, EpisodeConfig, run_episode
from runner.job.setup import agent_files, limits_of
from runner.job.task_check.other_kinds import Tried, judged
from runner.job.task_check.remark import Remark
from runner.sandbox.lock import all_cpus

SOLVE = "solution/solve.sh"


def remarks(context: GradingContext, say: Callable[[str], None]) -> Iterator[Remark]:
    """What episodes of the solution and of nothing show, and the gradings of what they leave.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    task = context.task
    agents: dict[str, tuple[MakeAgent, tuple[str, ...]]] = {"nothing done": (make_noop, ())}
    if all((task.folder_of_step(number) / SOLVE).is_file() for number in range(len(task.steps))):
        agents = {"solution": (make_oracle, ("passed",)), **agents}
    else:
        yield Remark("solution", "warn", f"there is no {SOLVE}: nothing shows that the tests can be passed", "add one")
    say(f"playing {len(agents)} episodes, and testing what they leave")
    ended = {name: _played(context, number, make) for number, (name, (make, _)) in enumerate(agents.items(), 1)}
    for name, episode in ended.items():
        if episode.submission is None:
            said = f"{name}: {episode.run.outcome.kind.words}: {episode.run.outcome.reason}"
            yield Remark(name, "fault", said, "let what the task collects be regular files, within its limits")
    left = {episode.number: episode.submission.content for episode in ended.values() if episode.submission is not None}
    candidates = [Candidate(number, content) for number, content in left.items()]
    gradings = {one.run: one.grading for one in grade_all(context, candidates)}
    for name, episode in ended.items():
        if episode.number in gradings:
            tried = Tried(name, name, left[episode.number], agents[name][1])
            yield judged(tried, gradings[episode.number])


def _played(context: GradingContext, number: int, make: MakeAgent) -> EndedEpisode:
    task, scale, fleet = context.task, context.scale, context.fleet
    config = EpisodeConfig(
        fleet=fleet,
        spec=context.spec,
        limits=limits_of(task),
        instruction=task.instruction(scale),
        files=agent_files(context.problem, task, scale),
        cpuset=all_cpus(fleet.engine),
        clock=context.clock,
    )
    return run_episode(config, AgentContext(task, number), make, lambda snapshot: "")
