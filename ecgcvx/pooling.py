"""How the outputs of a filter over the patches of a window become one number; read by the command line at once."""

POOLING = ("average", "sum")
