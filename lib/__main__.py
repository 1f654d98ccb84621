from lib.press.commands import main

raise SystemExit(main())
