# inside = 'what rights it has'
# outcome = 'answered'
# evidence = '^0000000000000000 0000000000000000 1\n'
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(*(lines[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs")))
