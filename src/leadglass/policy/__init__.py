"""Pure decisions: who may do what with which studies. No I/O, no clock, no configuration."""
