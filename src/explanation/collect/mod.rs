//! Statistics of all neurons over a corpus: mergeable, independent of order, in memory that does not grow with the corpus.
