"""Containers for a stretch of a round, warmed side by side on all CPUs, idle until it is their turn.

Beside them one of our own reads the whole image, so that no sample is the first one that needs a page of it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from runner.faults import InfrastructureFault, Interrupted
from runner.grading.context import GradingContext
from runner.grading.page_cache import read_image
from runner.grading.sample import SampleSpec, warm_sandbox
from runner.grading.schedule import ScheduledSample
from runner.sandbox.container import Sandbox

# Containers that start and import at one time: one for each CPU, and two on a single one, where the engine's part of a
# start overlaps with another's imports.
WARM_AT_ONCE = max(2, os.cpu_count() or 2)


@dataclass(frozen=True, slots=True)
class WarmSandbox:
    """A warm container, and what ends it."""

    sandbox: Sandbox
    close: Callable[[], None]


@contextlib.contextmanager
def warm_pool(
    context: GradingContext, samples: Sequence[ScheduledSample], specs: Sequence[SampleSpec]
) -> Iterator[list[WarmSandbox]]:
    """A warm container for each of `samples`, in their order; those that nobody closed are closed at the end.

    Args:
        specs: what the container of each sample gets.

    Raises:
        InfrastructureFault: one did not become ready; no submission has run in any.
        Interrupted: we are stopping.
    """
    stacks = [contextlib.ExitStack() for _ in samples]

    def warm(stack: contextlib.ExitStack, sample: ScheduledSample, spec: SampleSpec) -> Sandbox:
        # A control's container must not differ from a candidate's in anything that could be seen from inside.
        role: Literal["baseline", "candidate", "sentinel"] = "candidate"
        if sample.side in ("baseline", "sentinel"):
            role = sample.side
        return stack.enter_context(
            warm_sandbox(context.fleet, spec, role=role, cpuset=context.warmup_cpus, run=str(sample.run or ""))
        )

    with contextlib.ExitStack() as all_stacks:
        for stack in stacks:
            all_stacks.push(stack)
        with ThreadPoolExecutor(WARM_AT_ONCE, "warm") as pool:
            image = pool.submit(read_image, context)
            futures = [pool.submit(warm, *arguments) for arguments in zip(stacks, samples, specs, strict=True)]
            try:
                image.result()
                sandboxes = [future.result() for future in futures]
            except (InfrastructureFault, Interrupted):
                for future in futures:
                    future.cancel()
                raise
        yield [WarmSandbox(sandbox, stack.close) for sandbox, stack in zip(sandboxes, stacks, strict=True)]
