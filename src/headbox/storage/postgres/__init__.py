"""PostgreSQL, for many hosts: connections, lost answers, leases, notices. Its statements are in `sql/`."""
