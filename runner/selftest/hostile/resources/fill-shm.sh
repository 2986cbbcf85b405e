# inside = '/dev/shm filled to its end'
# outcome = 'answered'
# evidence = 'No space left on device'
head -c 400M /dev/zero > /dev/shm/hog; rm /dev/shm/hog; true
