//! A stretch of text around a firing, and the few of them that a feature keeps.

/// Firings of one feature in ascending order of rows: row and activation.
pub type Firings<'a> = &'a [(usize, f32)];

/// Tokens around a firing.
pub struct Context {
    /// Row of the firing.
    pub peak: usize,
    /// Its activation.
    pub value: f32,
    /// First row, and how many there are.
    pub first: usize,
    pub length: usize,
    /// Where the feature is active in between: offset from the first row, and activation.
    pub marks: Box<[(u8, f32)]>,
}

impl Context {
    /// The context of firing `at`, as far as its document and `reach` allow; `rows` is what was encoded together.
    pub fn cut(
        firings: Firings<'_>,
        at: usize,
        documents: &[u32],
        rows: &core::ops::Range<usize>,
        reach: usize,
    ) -> Self {
        let (peak, value) = firings[at];
        let same = |row: &usize| documents[*row] == documents[peak];
        let before = (rows.start..peak).rev().take(reach).take_while(same).count();
        let after = (peak + 1..rows.end).take(reach).take_while(same).count();
        let (first, length) = (peak - before, before + 1 + after);
        let from = firings.partition_point(|&(row, _)| row < first);
        let inside = firings[from..].iter().take_while(|&&(row, _)| row < first + length);
        let mark = |&(row, value): &(usize, f32)| Some((u8::try_from(row - first).ok()?, value));
        Self { peak, value, first, length, marks: inside.filter_map(mark).collect() }
    }
}

/// The contexts with the smallest keys.
pub struct Kept {
    limit: usize,
    entries: Vec<(u64, Context)>,
}

impl Kept {
    pub fn new(limit: usize) -> Self {
        Self { limit, entries: Vec::new() }
    }

    /// Takes a context up if its key is small enough; most never need to be cut.
    pub fn offer(&mut self, key: u64, cut: impl FnOnce() -> Context) {
        if self.entries.len() == self.limit && self.entries.last().is_none_or(|&(last, _)| last <= key) {
            return;
        }
        let at = self.entries.partition_point(|&(other, _)| other < key);
        self.entries.insert(at, (key, cut()));
        self.entries.truncate(self.limit);
    }

    /// As [`Kept::offer`], with one context per document: the one with the smallest key.
    pub fn offer_one(&mut self, key: u64, documents: &[u32], document: u32, cut: impl FnOnce() -> Context) {
        if let Some(at) = self.entries.iter().position(|(_, context)| documents[context.peak] == document) {
            if self.entries[at].0 <= key {
                return;
            }
            self.entries.remove(at);
        }
        self.offer(key, cut);
    }

    /// By ascending key.
    pub fn contexts(&self) -> impl Iterator<Item = &Context> {
        self.entries.iter().map(|(_, context)| context)
    }
}
