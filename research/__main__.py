"""`python -m research` is the console command `seedbed`."""

from research.cli.seedbed import main

if __name__ == "__main__":
    main()
