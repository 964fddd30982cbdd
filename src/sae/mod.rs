//! Sparse autoencoders: dictionaries that take superposed features apart again.
