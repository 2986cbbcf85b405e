"""`python -m runner init FOLDER`: a new task, small and whole."""

import json
import shlex

from runner.cli.called import MODULE, as_called
from runner.cli.exit_codes import OK
from runner.cli.options import InitOptions
from runner.tasks.starter import write_starter
from runner.tasks.task import read_task, smallest_scale


def init(options: InitOptions) -> int:
    """Write the task, and say what is where and what to do next; returns the exit status.

    Raises:
        UsageFault: the folder cannot be used, or there is no such kind.
    """
    files = write_starter(options.folder, options.kind)
    path = str(options.folder)
    folder = shlex.quote(f"./{path}" if path.startswith("-") else path)  # else it would be a flag
    scale = "" if (small := smallest_scale(read_task(options.folder))) == "full" else f" --scale {small}"
    commands = [as_called(f"{MODULE} check {folder}"), as_called(f"{MODULE} --task {folder}{scale} --runs 3")]
    if options.json:
        print(json.dumps({"folder": str(options.folder), "kind": options.kind, "files": files, "next": commands}))
    else:
        print("\n".join([f"A task in {options.folder}:", *(f"  {name}" for name in files)]))
        print("Next: " + "\n      ".join(commands))
    return OK
