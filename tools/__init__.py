"""Tools that the Makefile calls. The product does not import them."""
