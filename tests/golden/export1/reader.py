# a reader
