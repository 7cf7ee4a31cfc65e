"""``python -m nodegate`` is ``nodegate``."""

from nodegate.cli import main

if __name__ == "__main__":
    main()
