"""How many gradings measure at once on this host: as many as were asked for, if a calibration has proved them.

A plan of so many slots is proved where each of them has a valid certificate, which `calibrate --slots` writes only for plans
in which none disturbs another. The certificate's file is named by the host's fingerprint and the slot's cores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from runner.faults import UsageFault
from runner.grading.calibration.certificates import check_noise, find_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.context import GradingContext, Slot
from runner.job.setup import with_learning
from runner.records.grading import GradingPhase, GradingStep
from runner.records.run import GradingConfig
from runner.sandbox.core_sets import CORES_OF_A_SET, Core, CoreSet, most_core_sets, plan_core_sets, read_cores
from runner.sandbox.engine import Engine
from runner.sandbox.image import Image

AUTO = 0  # of `GradingConfig.slots`: as many as are proved


def host_of_slot(host: Mapping[str, Any], cores: CoreSet, slot: int, slots: int) -> dict[str, Any]:
    """What a slot's certificate depends on.

    Args:
        host: the fields of the host's fingerprint.
        slot, slots: which of how many.
    """
    return {**host, "slot": f"{slot} of {slots}", "measured_on": cores.measure, "cpus": cores.cpus}


def most_slots(engine: Engine) -> tuple[int, str]:
    """How many slots the engine's machine has room for, and what holds it to that, as a clause."""
    cores, why = read_cores(engine)
    if why:
        return 1, why
    count = f"{len(cores)} physical core{'' if len(cores) == 1 else 's'}"
    needs = f"a slot takes {CORES_OF_A_SET} of its own, and the first core is the host's"
    return most_core_sets(cores), f"the runner may use {count}, {needs}"


def check_room(engine: Engine, count: int) -> None:
    """Refuse more slots than the machine has cores for.

    Raises:
        UsageFault: there is no room.
    """
    most, why = most_slots(engine)
    if count > most:
        slots = "one slot" if most == 1 else f"{most} slots"
        raise UsageFault(
            cause=f"--slots {count}: this machine has room for {slots}: {why}",
            hint=f"give --slots {most}, or leave it out"
            if most > 1
            else "leave it out: submissions share their rounds",
        )


def proved_slots(cores: Sequence[Core], host: Mapping[str, Any], count: int) -> tuple[Slot, ...]:
    """A plan of `count` slots on these cores with their certificates; empty where it is not proved."""
    sets, found = plan_core_sets(cores, count), []
    for number, core_set in enumerate(sets, 1):
        certificate, _ = find_certificate(host_of_slot(host, core_set, number, count))
        if certificate is None:
            return ()
        found.append(Slot(core_set, certificate))
    return tuple(found)


def on_host(context: GradingContext, image: Image, config: GradingConfig) -> GradingContext:
    """The same context, as this host is to measure: certified by what it measures, in as many slots as are asked for.

    Raises:
        UsageFault, InfrastructureFault: as `with_slots` does.
    """
    return with_slots(with_learning(context, image, config), image, config)


def with_slots(context: GradingContext, image: Image, config: GradingConfig) -> GradingContext:
    """The same context, measuring in as many slots as are asked for; says why there is one where `auto` finds no more.

    Raises:
        UsageFault: more are asked for than there is room for, or than a calibration has proved.
        InfrastructureFault: one of them is noisier than `--max-noise` allows.
    """
    if config.slots == 1:
        return context
    engine, task = context.fleet.engine, context.task
    most, why = most_slots(engine)
    cores, _ = read_cores(engine)
    host = asdict(fingerprint(engine, task, context.scale, image.id))
    calibrate = f"python -m runner calibrate --task {task.name} --scale {context.scale} --slots"
    if config.slots != AUTO:
        check_room(engine, config.slots)
        slots = proved_slots(cores, host, config.slots)
        if not slots:
            raise UsageFault(
                cause=f"--slots {config.slots}: no calibration has shown that so many gradings of {task.name} at scale "
                f"{context.scale} do not disturb each other on this host",
                hint=f"run `{calibrate} {config.slots}`, or give --slots auto",
            )
    else:
        slots = next((found for count in range(most, 1, -1) if (found := proved_slots(cores, host, count))), ())
        if not slots:
            why = why if most == 1 else f"no calibration has proved more (`{calibrate} auto`)"
            context.report_step(GradingStep(GradingPhase.NOTE, f"one grading measures at a time: {why}"))
    for number, slot in enumerate(slots, 1):
        if config.max_noise is not None:
            check_noise(slot.certificate, f"slot {number} has none", config.max_noise)
    return replace(context, slots=slots)
