//! Parallel loops. The one file that names rayon; without the feature every loop runs on the calling thread.
//!
//! Work is cut into pieces whose size never depends on the number of threads, and each piece writes to its own place,
//! so the floats are the same for every number of threads.

#[cfg(feature = "rayon")]
use alloc::collections::VecDeque;

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

/// Calls `work(round, item)` for every item and every round; the rounds of an item follow each other, items wait for none.
///
/// A thread takes up the item that has come least far, so that none idles for longer than a round takes.
pub(crate) fn for_each_round<V: Send>(items: &mut [V], rounds: usize, work: impl Fn(usize, &mut V) + Sync + Send) {
    #[cfg(feature = "rayon")]
    if items.len() > 1 && threads() > 1 && rounds > 0 {
        let queue = std::sync::Mutex::new(items.iter_mut().map(|item| (0, item)).collect::<VecDeque<_>>());
        let next = |done: Option<(usize, _)>| {
            // a thread that panics while it holds the queue has taken the whole loop down
            let mut queue = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.extend(done.filter(|(round, _)| *round < rounds));
            queue.pop_front()
        };
        rayon::scope(|scope| {
            for _ in 0..threads() {
                scope.spawn(|_| {
                    let mut job = next(None);
                    while let Some((round, item)) = job {
                        work(round, item);
                        job = next(Some((round + 1, item)));
                    }
                });
            }
        });
        return;
    }
    for item in items {
        (0..rounds).for_each(|round| work(round, item));
    }
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

    #[test]
    fn rounds_of_an_item_come_in_order() {
        let mut items = vec![Vec::new(); 7];
        for_each_round(&mut items, 5, |round, item| item.push(round));
        assert!(items.iter().all(|item| *item == [0, 1, 2, 3, 4]));
        for_each_round(&mut items, 0, |_, item| item.clear());
        assert_eq!(items[6].len(), 5);
    }
}
