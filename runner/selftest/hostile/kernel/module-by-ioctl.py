# inside = "requests to devices for which the kernel loads a module of the host's"
# outcome = 'answered'
# evidence = '^ENOTTY ENOTTY ENOTTY ENOTTY\n'
import errno, fcntl, socket
said = []
for request in (0x8982, 0x8983, 0x8940, 0x89A0):
    try:
        fcntl.ioctl(socket.socket(), request, bytes(64))
        said.append("asked")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
