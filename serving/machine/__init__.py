"""Facts about this machine, as its own programs and libraries tell them; nothing here judges or prints."""
