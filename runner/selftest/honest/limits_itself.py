# id = "limits-itself"
# task = "slow_nbody"
# base = "solution"
# does = "sets limits, a priority and a schedule for itself"

import os
import resource

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.prlimit(os.getpid(), resource.RLIMIT_NPROC, resource.getrlimit(resource.RLIMIT_NPROC))
os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))
os.sched_setaffinity(0, os.sched_getaffinity(0))
