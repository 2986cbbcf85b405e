# inside = 'a file of two million blank lines, shown with numbers'
# outcome = 'answered'
# evidence = 'are not shown: give a view_range'
# then = [{ tool = 'view', path = 'blank' }]
yes '' | head -c 2000000 > blank
