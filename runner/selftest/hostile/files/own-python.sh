# inside = 'modules of the workspace that PID 1 would import'
# outcome = 'answered'
# evidence = '^6 modules\n'
# then = [{ tool = 'view', path = 'json.py' }, { tool = 'bash', command = 'echo $(ls *.py | wc -l) modules' }]
for n in sitecustomize usercustomize json os struct select; do echo 'raise SystemExit(9)' > $n.py; done; echo here
