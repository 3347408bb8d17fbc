"""Media: studies as files for others to read, a file-set with its directory, for every door that gives one."""
