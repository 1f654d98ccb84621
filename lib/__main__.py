import sys

try:
    from lib.press.commands import main

    status = main()
except KeyboardInterrupt:  # while modules were loading
    print("book: interrupted before anything was begun", file=sys.stderr)
    status = 130
raise SystemExit(status)
