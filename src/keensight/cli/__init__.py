"""The command line: one file per command, with the command's name.

A command's module is imported only for that command, never for ``keensight --help``, and no module of this package
imports anything heavy outside of a function body.
"""
