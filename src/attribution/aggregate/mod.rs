//! From many scores to few: over an axis, over spans of tokens, between two attributions.
