"""Makes the documentation site: pages as they are written, and a reference that is read off the code."""
