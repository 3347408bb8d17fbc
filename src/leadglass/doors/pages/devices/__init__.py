"""Pages for whoever looks after devices: enrolling, certificates, lanes, and finding out why one is not let in."""
