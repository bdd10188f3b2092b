"""The command line, one file a command, named like it.

Click imports a command's module when that command is named, never for ``keensight --help``, and no
module of this room imports anything heavy outside of a function body.
"""
