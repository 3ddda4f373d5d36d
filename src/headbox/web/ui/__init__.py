"""The dashboard: pages for people, rendered here and kept up to date by Server-Sent Events."""
