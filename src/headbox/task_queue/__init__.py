"""What a user's program holds in its hands: the queue, its tasks and calls, and the running of one task. Knows the
storage's contract, neither the worker nor the web."""
