# id = "oom-score"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "makes PID 1 the first to go when memory is short"
# caught_by = ["too_slow"]

for pid in ("1", "self"):
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("-1000" if pid == "self" else "1000")
    except OSError:
        pass
