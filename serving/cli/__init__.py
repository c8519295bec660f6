"""The command line: one file per verb; a verb is one library call and what it prints."""
