"""SQLite, the embedded default: connections, locks between processes, and the watch. Its statements are in `sql/`."""
