# inside = "a lock on what the image's files are for all"
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import fcntl
# try:
#     fcntl.flock(open("/etc/passwd"), fcntl.LOCK_EX | fcntl.LOCK_NB)
#     print("free")
# except OSError as error:
#     print(error.strerror)
# '''
# sees = '^free\n'
import fcntl, os, time
file = open("/etc/passwd")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
