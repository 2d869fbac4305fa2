"""``python -m videopipe``."""

from videopipe.cli import main

main()
