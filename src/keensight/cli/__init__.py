"""The command line, one file per family of commands.

Click imports a command's module when that command is named, never for ``keensight --help``, and no
module of this room imports anything heavy outside of a function body.
"""
