# inside = 'an image for root, in a folder of its own'
# outcome = 'answered'
# evidence = '^[1-9]\d{3,} /workspace\n'
# image = '''
# USER root
# WORKDIR /root
# '''
echo "$(id -u) $PWD"
