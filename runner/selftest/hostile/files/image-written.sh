# inside = 'files of the image written'
# outcome = 'answered'
# evidence = '(?s)Read-only file system.*Read-only'
touch /x; touch /usr/lib/x; true
