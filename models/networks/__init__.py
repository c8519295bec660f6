"""Complete networks that are more than a backbone, a mechanism and a head: one file each."""
