"""`python -m agent` is `jostle`, for where the command is not installed."""

from agent.cli import main

if __name__ == "__main__":
    main()
