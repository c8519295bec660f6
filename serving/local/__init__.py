"""An exported model in this process, asked as a served one is."""
