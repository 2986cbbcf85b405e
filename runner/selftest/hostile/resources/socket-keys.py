# inside = "keys of TCP's signatures and groups of addresses, which the kernel keeps for a socket beside every limit"
# outcome = 'answered'
# evidence = '^ENOPROTOOPT ENOPROTOOPT ENOPROTOOPT\n'
import errno, socket, struct
key = struct.pack("=HHI120x", 2, 0, 0x0100000A) + struct.pack("=BBHi80s", 0, 32, 4, 0, b"word")
group6 = socket.inet_pton(socket.AF_INET6, "ff02::1234") + struct.pack("=I", 1)
group4 = socket.inet_aton("224.1.1.1") + socket.inet_aton("127.0.0.1")
said = []
for family, kind, level, option, value in ((2, 1, 6, 14, key), (10, 2, 41, 20, group6), (2, 2, 0, 35, group4)):
    try:
        socket.socket(family, kind).setsockopt(level, option, value)
        said.append("kept")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
