# inside = 'descriptors that are sent from socket to socket, and kept by no process'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import socket
# pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
# socket.send_fds(pair[0], [b"x"], [0])
# print("sent", len(socket.recv_fds(pair[1], 10, 1)[1]))
# '''
# sees = '^sent 1\n'
import os, socket, time
kept, sent = [], 0
try:
    while sent < 100_000:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        kept.append(pair[0])
        while True:
            socket.send_fds(pair[0], [b"x"], [0] * 250)
            sent += 250
except OSError:
    pass
print("held", sent, flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
