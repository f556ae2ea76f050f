"""A small world for the demo: customers who send, providers who receive, one plugin that is hacked."""
