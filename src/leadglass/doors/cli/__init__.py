"""The command line: for the operator, on the machine the archive runs on."""
