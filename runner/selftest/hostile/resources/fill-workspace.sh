# inside = '/workspace filled to its end'
# outcome = 'answered'
# evidence = 'No space left on device'
head -c 400M /dev/zero > /workspace/hog; rm /workspace/hog; true
