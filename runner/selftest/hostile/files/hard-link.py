# inside = 'a second name for a file of the image'
# outcome = 'answered'
# evidence = 'EXDEV|EPERM|EROFS'
import errno, os
try:
    os.link("/etc/passwd", "it")
    print("linked")
except OSError as error:
    print(errno.errorcode[error.errno])
