# inside = "an answer of PID 1's printed as output"
# outcome = 'answered'
# evidence = 'forged'
import json, struct, sys
head = json.dumps({"ok": True, "forged": 1}).encode()
sys.stdout.buffer.write(struct.pack("!IIBI", len(head), 0, 2, 1) + head)
