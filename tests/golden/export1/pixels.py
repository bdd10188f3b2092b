# a decoder
