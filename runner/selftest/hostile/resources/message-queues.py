# inside = 'a queue of messages'
# outcome = 'answered'
# evidence = 'refused'
import ctypes, os
try:
    libc = ctypes.CDLL("librt.so.1", use_errno=True)
except OSError:
    libc = ctypes.CDLL(None, use_errno=True)
opened = libc.mq_open(b"/hog", os.O_CREAT | os.O_RDWR, 0o600, None)
print("opened" if opened >= 0 else "refused: " + os.strerror(ctypes.get_errno()))
