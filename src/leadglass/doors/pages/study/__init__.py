"""Pages of one study: what is in it, a quick look at its images, and what is no image."""
