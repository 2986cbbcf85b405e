# inside = 'a file with holes, each of whose pages takes memory beside its content'
# outcome = 'answered'
# evidence = '^File too large\n'
import os
file = os.open("/tmp/holes", os.O_CREAT | os.O_WRONLY)
try:
    for number in range(2000):
        os.pwrite(file, b"x", number << 40)
    print("kept")
except OSError as error:
    print(error.strerror)
os.unlink("/tmp/holes")
