print(*range(1, 11), sep="\n")
