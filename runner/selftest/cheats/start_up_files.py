# id = "start-up-files"
# class = "environment"
# task = "slow_nbody"
# base = "baseline"
# tries = "leaves start-up files for the next interpreter"
# caught_by = ["too_slow"]

import os

os.makedirs("/workspace/.local/lib/python3.11/site-packages", exist_ok=True)
for path in ("sitecustomize.py", "usercustomize.py", ".local/lib/python3.11/site-packages/x.pth"):
    with open("/workspace/" + path, "w") as file:
        file.write("import os; os._exit(0)")
