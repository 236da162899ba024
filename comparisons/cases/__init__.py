"""The cases that this project ships: ``tutorial``, a file per chapter."""
