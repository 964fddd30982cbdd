//! Parallel loops. The one file that names rayon; without the feature every loop runs on the calling thread.
//!
//! Work is cut into pieces whose size never depends on the number of threads, and each piece writes to its own place,
//! so the floats are the same for every number of threads.

/// Number of threads that a loop may use.
#[must_use]
pub fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    return 1;
}

/// Calls `work(index, item)` for every item.
pub(crate) fn for_each_mut<V: Send>(items: &mut [V], work: impl Fn(usize, &mut V) + Sync + Send) {
    #[cfg(feature = "rayon")]
    if items.len() > 1 && threads() > 1 {
        use rayon::prelude::*;
        items.par_iter_mut().with_max_len(1).enumerate().for_each(|(index, item)| work(index, item));
        return;
    }
    items.iter_mut().enumerate().for_each(|(index, item)| work(index, item));
}

/// Calls `work(index, piece)` for consecutive pieces of `chunk` elements; the last may be shorter.
///
/// A `chunk` of 0 is taken as 1.
pub(crate) fn for_each_chunk_mut<V: Send>(slice: &mut [V], chunk: usize, work: impl Fn(usize, &mut [V]) + Sync + Send) {
    let chunk = chunk.max(1);
    #[cfg(feature = "rayon")]
    if slice.len() > chunk && threads() > 1 {
        use rayon::prelude::*;
        slice.par_chunks_mut(chunk).with_max_len(1).enumerate().for_each(|(index, piece)| work(index, piece));
        return;
    }
    slice.chunks_mut(chunk).enumerate().for_each(|(index, piece)| work(index, piece));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_piece_is_visited_once_with_its_index() {
        let mut x = vec![0_usize; 10];
        for_each_chunk_mut(&mut x, 3, |index, piece| piece.iter_mut().for_each(|value| *value += index + 1));
        assert_eq!(x, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]);
        for_each_mut(&mut x, |index, value| *value += index);
        assert_eq!(x, [1, 2, 3, 5, 6, 7, 9, 10, 11, 13]);
    }
}
