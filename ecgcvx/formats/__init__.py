"""The file formats that `ecgcvx.records` reads; each reader returns a `Reading` and knows nothing of the others."""
