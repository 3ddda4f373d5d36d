"""What a user would pick instead, on the same work. Each lives in an environment of its own and is no dependency."""
