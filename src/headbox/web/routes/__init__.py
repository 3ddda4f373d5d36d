"""The calls of the API, one module a group; each exports its rows of the route table."""
