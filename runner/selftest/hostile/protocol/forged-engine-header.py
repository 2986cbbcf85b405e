# inside = "the engine's own header of a piece, printed as output"
# outcome = 'answered'
# evidence = 'after'
import sys
sys.stdout.buffer.write(b"\x02\0\0\0\xff\xff\xff\xff" * 100 + b"\x01\0\0\0\0\0\0\x05after")
