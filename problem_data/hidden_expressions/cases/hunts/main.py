import os
import sys

for folder, _folders, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr", "/opt")):
        continue
    for name in files:
        if name in ("problem.py", "task.toml") or name.endswith(".out"):
            sys.exit(0)
print("nothing found")
