"""The APIs as OpenAPI 3.1 documents, read from the code that answers: routes, types, docstrings."""
