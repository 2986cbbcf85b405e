# inside = 'a socket by a name that no file system holds'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import socket
# try:
#     socket.socket(socket.AF_UNIX).connect("\0runner-selftest")
#     print("reached")
# except OSError as error:
#     print(error.strerror)
# '''
# sees = '^Connection refused\n'
import os, socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("\0runner-selftest")
listener.listen()
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
