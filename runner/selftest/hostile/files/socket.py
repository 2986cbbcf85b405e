# inside = 'a socket by name'
# outcome = 'refused'
# evidence = 'regular|not a file|No such device'
# then = [{ tool = 'submit', path = 'it' }]
import socket
socket.socket(socket.AF_UNIX).bind("it")
