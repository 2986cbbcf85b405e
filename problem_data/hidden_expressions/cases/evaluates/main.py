import sys

for line in sys.stdin:
    try:
        print(int(eval(line.replace("/", "//"))))
    except Exception:
        print("error")
