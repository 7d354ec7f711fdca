"""Show how far the answers of two models agree, by the file that the node's shadow mode has written."""
