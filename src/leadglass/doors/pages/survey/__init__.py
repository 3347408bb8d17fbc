"""The pages of the survey: what of the network is open, whose it is, and until when."""
