"""Evidence becomes a Caller here, or nobody is let in. Only this package makes a Caller."""
