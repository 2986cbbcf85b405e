# inside = 'memory that may not be swapped out, over its limit'
# outcome = 'answered'
# evidence = 'refused: Cannot allocate memory|refused: Resource'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(8 << 20)
done = libc.mlock(buffer, len(buffer)) == 0
print("locked" if done else "refused: " + os.strerror(ctypes.get_errno()))
