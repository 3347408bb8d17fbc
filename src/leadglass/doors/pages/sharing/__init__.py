"""Sharing: links that show studies, or by which some come in; and the pages of who opens one."""
