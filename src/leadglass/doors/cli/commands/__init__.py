"""The commands, one module for each group; none is imported before it is asked for."""
