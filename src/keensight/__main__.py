"""``python -m keensight`` is the same as ``keensight``."""

from keensight.cli.main import command

if __name__ == "__main__":
    command()
