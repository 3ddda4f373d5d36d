"""The pages, one module each; each gives its rows of the route table to a layout."""
