"""The doctor: what of regard works on this machine, what does not, and what to do next."""
