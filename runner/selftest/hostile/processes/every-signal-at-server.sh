# inside = 'every signal at PID 1'
# outcome = 'answered'
# evidence = '^64 sent\n'
for s in $(seq 1 64); do kill -$s 1 2>/dev/null; done; echo 64 sent
