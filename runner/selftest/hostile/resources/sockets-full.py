# inside = 'pairs of sockets, each filled'
# outcome = 'answered'
# evidence = 'EMFILE'
import errno, socket
held = []
try:
    while True:
        held += socket.socketpair()
        held[-1].setblocking(False)
        try:
            while True:
                held[-1].send(bytes(4096))
        except BlockingIOError:
            pass
except OSError as error:
    print(errno.errorcode[error.errno])
