"""Small tasks in the shapes that tasks of Harbor's have: what each wants of whoever plays it, and nothing more."""

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]

REWARD = "if {test}; then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi\n"


def write(folder: Path, files: Files) -> Path:
    """A task's folder with these files."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


# A verifier of its own, an answer in JSON, a reward in JSON.
SEPARATE: Files = {
    "task.toml": """schema_version = "1.4"
artifacts = ["/app/answer.json"]
[task]
name = "examples/sum-of-squares"
description = "A sum, as JSON"
[agent]
timeout_sec = 300.0
user = "agent"
[verifier]
environment_mode = "separate"
timeout_sec = 60.0
[verifier.environment]
network_mode = "no-network"
[environment]
network_mode = "no-network"
memory_mb = 1024
cpus = 1
""",
    "instruction.md": 'Write the sum of the squares of 1 to 10 to /app/answer.json, as {"sum": N}. {target}\n',
    "environment/Dockerfile": "FROM python:3.12-slim@sha256:" + "0" * 64 + "\nWORKDIR /app\nCOPY notes.txt /app/\n",
    "environment/notes.txt": "squares\n",
    "tests/Dockerfile": "ARG BASE=python:3.12-slim\nFROM ${BASE}\nCOPY . /tests/\nWORKDIR /tests\n",
    "tests/test.sh": "#!/bin/bash\npython3 -I /tests/grade.py\n",
    "tests/grade.py": """import json

try:
    with open("/app/answer.json") as file:
        right = json.load(file) == {"sum": 385}
except (OSError, ValueError):
    right = False
with open("/logs/verifier/reward.json", "w") as file:
    json.dump({"reward": float(right), "items": 1}, file)
""",
    "solution/solve.sh": "#!/bin/bash\ncat /solution/answer.json > /app/answer.json\n",
    "solution/answer.json": '{"sum": 385}\n',
}

# The agent's own container, an image by its name.
SHARED: Files = {
    "task.toml": """version = "1.0"
[metadata]
difficulty = "easy"
[environment]
docker_image = "python:3.11-slim"
network_mode = "no-network"
workdir = "/app"
[verifier]
timeout_sec = 60.0
""",
    "instruction.md": "Write hello to /app/hello.txt.\n",
    "tests/test.sh": "#!/bin/bash\n" + REWARD.format(test='[ "$(cat hello.txt)" = hello ]'),
    "solution/solve.sh": "#!/bin/bash\necho hello > hello.txt\n",
}

# Work in /workspace, which the image fills; the tests run what was left.
WORKSPACE: Files = {
    "task.toml": """version = "1.0"
[agent]
timeout_sec = 600.0
[environment]
build_timeout_sec = 600.0
memory = "1G"
storage = "2G"
""",
    "instruction.md": "Correct /workspace/double.py.\n",
    "environment/Dockerfile": """FROM ubuntu:24.04
WORKDIR /workspace
COPY double.py data.txt /workspace/
RUN ln -s data.txt /workspace/link.txt && mkdir /workspace/empty
""",
    "environment/double.py": "def double(value):\n    return value\n",
    "environment/data.txt": "21\n",
    "tests/test.sh": "cd /workspace\n" + REWARD.format(test="python3 /tests/check.py"),
    "tests/check.py": """import os
import sys

sys.path.insert(0, "/workspace")
import double

assert double.double(21) == 42
assert os.path.isdir("empty") and open("link.txt").read() == "21\\n"
""",
    "solution/solve.sh": "#!/bin/bash\nprintf 'def double(value):\\n    return 2 * value\\n' > double.py\n",
}

# Three steps in one container, each with words, files and tests of its own.
STEPS: Files = {
    "task.toml": """schema_version = "1.1"
artifacts = ["/app/greet.sh"]
[task]
name = "examples/three-steps"
[environment]
workdir = "/app"
allow_internet = false
[environment.env]
PROJECT = "${PROJECT:-greeting}"
[[steps]]
name = "begin"
min_reward = 1.0
[steps.agent]
timeout_sec = 60.0
[steps.verifier]
timeout_sec = 30.0
[[steps]]
name = "extend"
min_reward = 0.5
[steps.agent]
timeout_sec = 60.0
[steps.verifier.env]
NAME = "Ada"
[[steps]]
name = "describe"
[steps.agent]
timeout_sec = 60.0
""",
    "environment/Dockerfile": "FROM ubuntu:24.04\nWORKDIR /app\n",
    "tests/helpers.sh": 'reward() { echo "$1" > /logs/verifier/reward.txt; exit 0; }\n',
    "steps/begin/instruction.md": "Create /app/greet.sh, which prints hello.\n",
    "steps/begin/tests/test.sh": "#!/bin/bash\n. /tests/helpers.sh\n"
    '[ -x /app/greet.sh ] && [ "$(/app/greet.sh)" = hello ] && reward 1\nreward 0\n',
    "steps/begin/solution/solve.sh": "#!/bin/bash\n"
    "printf '#!/bin/bash\\necho hello\\n' > /app/greet.sh\nchmod +x /app/greet.sh\n",
    "steps/extend/instruction.md": "Let it greet whom /app/name.txt names.\n",
    "steps/extend/workdir/name.txt": "Bob   \n",
    "steps/extend/workdir/setup.sh": "tr -d ' ' < name.txt > tidy && mv tidy name.txt && rm -- \"$0\"\n",
    "steps/extend/tests/test.sh": "#!/bin/bash\n. /tests/helpers.sh\n"
    '[ "$(/app/greet.sh)" = "hello Bob" ] || reward 0\necho "$NAME" > /app/name.txt\n'
    '[ "$(/app/greet.sh)" = "hello Ada" ] && [ "$PROJECT" = greeting ] && reward 1\nreward 0\n',
    "steps/extend/solution/solve.sh": "#!/bin/bash\n[ ! -e setup.sh ] || exit 1\n"
    "printf '#!/bin/bash\\necho \"hello $(cat /app/name.txt)\"\\n' > /app/greet.sh\n",
    "steps/describe/instruction.md": "Describe it in /app/README.md.\n",
    "steps/describe/tests/test.sh": "#!/bin/bash\n. /tests/helpers.sh\n"
    "grep -q greet.sh /app/README.md && reward 1\nreward 0\n",
    "steps/describe/solution/solve.sh": "#!/bin/bash\necho '# greet.sh' > /app/README.md\n",
}

# A verifier of its own from another registry's image, to which a package is added while it is built.
BUILT: Files = {
    "task.toml": """schema_version = "1.3"
artifacts = ["/app/submission.json"]
[task]
name = "examples/witness"
description = "Values that make a formula true"
[agent]
timeout_sec = 300.0
[verifier]
environment_mode = "separate"
timeout_sec = 60.0
[verifier.environment]
network_mode = "no-network"
cpus = 1
memory_mb = 512
[environment]
network_mode = "no-network"
cpus = 1
memory_mb = 512
""",
    "instruction.md": "Write values of a and b with (a or b) and not a to /app/submission.json.\n",
    "environment/Dockerfile": "FROM python:3.12-slim\nWORKDIR /app\nCOPY formula.json /app/formula.json\n",
    "environment/formula.json": '["a or b", "not a"]\n',
    "tests/Dockerfile": """FROM ghcr.io/astral-sh/uv:0.8-python3.12-bookworm-slim
COPY forms /opt/forms
RUN python3 -c "import shutil, site; shutil.copytree('/opt/forms', site.getsitepackages()[0] + '/forms')"
COPY . /tests/
WORKDIR /tests
""",
    "tests/forms/__init__.py": "def is_form(found):\n    return isinstance(found, dict) and set(found) == {'a', 'b'}\n",
    "tests/formula.json": '["a or b", "not a"]\n',
    "tests/test.sh": "#!/usr/bin/env bash\nset -euo pipefail\nexec python3 /tests/verify.py\n",
    "tests/verify.py": """import json
import pathlib

from forms import is_form

try:
    found = json.loads(pathlib.Path("/app/submission.json").read_text())
except (OSError, ValueError):
    found = None
held = is_form(found) and (found["a"] or found["b"]) and not found["a"]
pathlib.Path("/logs/verifier/reward.json").write_text(json.dumps({"reward": 1.0 if held else 0.0}))
""",
    "solution/solve.sh": "#!/bin/bash\nset -e\npython3 /solution/solve.py\n",
    "solution/solve.py": "open('/app/submission.json', 'w').write('{\"a\": false, \"b\": true}')\n",
}

# The agent's own container, whose image holds what the tests are run with.
INSTALLED: Files = {
    "task.toml": """version = "1.0"
[metadata]
difficulty = "medium"
tags = ["strings"]
[verifier]
timeout_sec = 120.0
[agent]
timeout_sec = 600.0
[environment]
cpus = 1
memory_mb = 1024
""",
    "instruction.md": "Let /workspace/cut.py print the fewest coins of 1, 5 and 12 that make the number given.\n",
    "environment/Dockerfile": """FROM python:3.12-slim
WORKDIR /workspace
COPY checks.py /opt/checks.py
RUN python3 -c "import shutil, site; shutil.copy('/opt/checks.py', site.getsitepackages()[0])"
""",
    "environment/checks.py": "def same(found, wanted):\n    assert found.strip() == str(wanted), (found, wanted)\n",
    "tests/test.sh": "#!/bin/bash\ncd /workspace\n" + REWARD.format(test="python3 /tests/test_outputs.py"),
    "tests/test_outputs.py": """import subprocess
import sys

from checks import same

for number, coins in ((1, 1), (15, 3), (24, 2), (16, 4)):
    done = subprocess.run([sys.executable, "/workspace/cut.py", str(number)], capture_output=True, text=True)
    same(done.stdout, coins)
""",
    "solution/solve.sh": """#!/bin/bash
cat > /workspace/cut.py <<'END'
import sys

fewest = [0]
for number in range(1, int(sys.argv[1]) + 1):
    fewest.append(1 + min(fewest[number - coin] for coin in (1, 5, 12) if coin <= number))
print(fewest[-1])
END
""",
}

EXAMPLES: Mapping[str, Files] = {
    "separate": SEPARATE, "shared": SHARED, "workspace": WORKSPACE, "steps": STEPS, "built": BUILT, "installed": INSTALLED,
}  # fmt: skip
BASES = (
    "python:3.12-slim=base", "python:3.11-slim=base", "ubuntu:24.04=base",
    "ghcr.io/astral-sh/uv:0.8-python3.12-bookworm-slim=base",
)  # fmt: skip
