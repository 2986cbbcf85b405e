# inside = 'a daemon in a session of its own, left behind at the deadline'
# outcome = 'answered'
# evidence = '^0\n'
# timeout_s = 0.5
# then = [{ tool = 'bash', command = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 98[567]'" }]
setsid nohup sleep 987 & (sleep 986 &); sleep 985
