# inside = 'links that lead to each other'
# outcome = 'refused'
# evidence = 'links are not followed'
# then = [{ tool = 'submit', path = 'a' }]
ln -s b a; ln -s a b
