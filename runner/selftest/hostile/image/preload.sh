# inside = 'an image whose environment loads a library into everything'
# outcome = 'answered'
# evidence = '^0\n'
# image = '''
# ENV LD_PRELOAD=/evil.so LD_LIBRARY_PATH=/evil
# '''
env | grep -c ^LD_
