"""`python -m ecgcvx` is the command `ecgcvx`."""

from ecgcvx.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
