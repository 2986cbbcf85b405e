# inside = 'the limit on descriptors raised'
# outcome = 'answered'
# evidence = 'refused'
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    print("raised")
except (ValueError, OSError) as error:
    print("refused:", error)
