"""The training loop, of one run or of several as one program."""
