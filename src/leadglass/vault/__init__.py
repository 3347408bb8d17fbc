"""The back room that is ours: a sealed index and sealed objects on the local disk."""
