# inside = "filters of sockets, for whose code a host has one pool"
# outcome = 'answered'
# evidence = '^ENOPROTOOPT\n'
import ctypes, errno, os, socket, struct
code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xFFFFFFFF))
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).setsockopt(socket.SOL_SOCKET, 26, program)
    print("set")
except OSError as error:
    print(errno.errorcode[error.errno])
