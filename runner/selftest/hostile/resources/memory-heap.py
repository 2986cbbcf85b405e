# inside = 'memory in one piece, until the kernel ends it'
# outcome = 'out of memory'
# evidence = 'killed for memory'
x = bytearray(1 << 30)
x[::4096] = b'x' * (1 << 18)
