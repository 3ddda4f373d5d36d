"""The processes that run tasks: a supervisor free of user code, a forkserver with the application, its children."""
