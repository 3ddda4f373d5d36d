"""Where tasks are kept. Every other layer sees only the contract in `store.py`."""
