# inside = "the shell's own descriptors given to a process in the background, which reads the next command and speaks in its name"
# outcome = 'answered'
# evidence = '^a fresh shell\n'
# then = [{ tool = 'bash', command = 'echo stolen', timeout_s = 2.0 }, { tool = 'bash', command = 'echo a fresh shell' }]
for fd in $(ls /proc/$$/fd); do
  [ "$fd" -gt 5 ] && [ "$fd" -lt 255 ] && eval "cat <&$fd > /dev/null 2>&1 & yes 0000000000000000 0 >&$fd 2> /dev/null &"
done; sleep 0.5
