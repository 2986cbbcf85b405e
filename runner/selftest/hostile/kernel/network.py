# inside = 'the network, by name and by address'
# outcome = 'answered'
# evidence = '^refused refused\n'
import socket
said = []
for reach in (lambda: socket.getaddrinfo("example.org", 80), lambda: socket.create_connection(("1.1.1.1", 53), 1)):
    try:
        reach()
        said.append("reached")
    except OSError:
        said.append("refused")
print(*said)
