# inside = '/tmp filled to its end'
# outcome = 'answered'
# evidence = 'No space left on device'
head -c 400M /dev/zero > /tmp/hog; rm /tmp/hog; true
