# inside = "sockets of protocols for which the kernel loads a module of the host's"
# outcome = 'answered'
# evidence = '^EPERM EPERM EPERM EPERM\n'
import errno, socket
said = []
for family, kind, protocol in ((2, 1, 132), (10, 5, 132), (2, 6, 33), (2, 2, 115)):
    try:
        socket.socket(family, kind, protocol)
        said.append("opened")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
