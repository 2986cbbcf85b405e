# inside = 'an image with a volume, which would be a disk without limit'
# outcome = 'not started'
# evidence = 'declares volumes: /data'
# image = '''
# VOLUME /data
# '''
echo here
