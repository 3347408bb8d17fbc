"""The audit log: append-only, chained in a Merkle tree, signed at intervals. No record, no access."""
