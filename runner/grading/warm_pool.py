"""Containers for a stretch of a round, warmed side by side on all CPUs, idle until it is their turn.

Audits of one candidate share a container (`shared_container.py`). Beside them one of our own reads the whole image, so that
no sample is the first one that needs a page of it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol

from runner.faults import InfrastructureFault, Interrupted
from runner.grading.context import GradingContext
from runner.grading.page_cache import read_image
from runner.grading.sample import SampleSpec, warm_sandbox
from runner.grading.schedule import ScheduledSample
from runner.grading.shared_container import SharedContainers, Turn
from runner.sandbox.container import Sandbox


class WarmSample(Protocol):
    """What waits for its turn."""

    def start(self) -> Sandbox:
        """The sandbox, which waits for *go*.

        Raises:
            InfrastructureFault: it did not become ready.
        """
        ...

    def close(self) -> None:
        """End it, with all its processes."""
        ...


@dataclass(frozen=True, slots=True)
class WarmSandbox:
    """A warm container, and what ends it."""

    sandbox: Sandbox
    close: Callable[[], None]

    def start(self) -> Sandbox:
        """It is ready."""
        return self.sandbox


@contextlib.contextmanager
def warm_pool(
    context: GradingContext,
    samples: Sequence[ScheduledSample],
    specs: Sequence[SampleSpec],
    containers: SharedContainers,
) -> Iterator[list[WarmSample]]:
    """Something warm for each of `samples`, in their order; what nobody closed is closed at the end.

    Args:
        specs: what the container of each sample gets.
        containers: for the samples that share one; they stay open.

    Raises:
        InfrastructureFault: one did not become ready; no submission has run in any.
        Interrupted: we are stopping.
    """
    shared = {sample.run: spec for sample, spec in zip(samples, specs, strict=True) if sample.shared}

    def warm(stack: contextlib.ExitStack, sample: ScheduledSample, spec: SampleSpec) -> WarmSample:
        # A control's container must not differ from a candidate's in anything that could be seen from inside.
        role: Literal["baseline", "candidate", "sentinel"] = "candidate"
        if sample.side in ("baseline", "sentinel"):
            role = sample.side
        container = warm_sandbox(context.fleet, spec, role=role, cpuset=context.warmup_cpus, run=str(sample.run or ""))
        return WarmSandbox(stack.enter_context(container), stack.close)

    with contextlib.ExitStack() as all_stacks:
        with context.fleet.threads(context.warm_at_once, "warm") as pool:
            image = pool.submit(read_image, context)
            opening = {run: pool.submit(containers.of, run, spec) for run, spec in shared.items()}
            waiting: list[Future[WarmSample] | ScheduledSample] = []
            for sample, spec in zip(samples, specs, strict=True):
                if sample.shared:
                    waiting.append(sample)
                else:
                    stack = contextlib.ExitStack()
                    all_stacks.push(stack)
                    waiting.append(pool.submit(warm, stack, sample, spec))
            futures = [each for each in waiting if isinstance(each, Future)]
            try:
                image.result()
                opened = {run: future.result() for run, future in opening.items()}
                warm_samples: list[WarmSample] = [
                    each.result() if isinstance(each, Future) else Turn(opened[each.run], spec)
                    for each, spec in zip(waiting, specs, strict=True)
                ]
            except (InfrastructureFault, Interrupted):
                for future in futures:
                    future.cancel()
                for opening_one in opening.values():
                    opening_one.cancel()
                raise
        yield warm_samples
