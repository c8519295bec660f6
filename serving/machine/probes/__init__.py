"""Scripts for processes of their own: each opens one library, which may crash, and prints facts as JSON."""
