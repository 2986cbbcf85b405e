# id = "socket-cache"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "leaves a daemon behind that holds answers on an abstract socket"
# caught_by = ["too_slow"]

import os
import socket

work = simulate


def simulate(**given):
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect("\0answers")
        return None
    except OSError:
        pass
    if os.fork() == 0:
        os.setsid()
        server = socket.socket(socket.AF_UNIX)
        server.bind("\0answers")
        server.listen()
        server.accept()
    return work(**given)
