# inside = 'an image whose environment steers Python'
# outcome = 'answered'
# evidence = '^0\n'
# image = '''
# ENV PYTHONPATH=/evil PYTHONSTARTUP=/evil.py PYTHONINSPECT=1 BASH_ENV=/evil.sh
# '''
env | grep -c -E '^(PYTHON|BASH_ENV)'
