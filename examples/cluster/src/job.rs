//! A job: its processes, its folder, and what is kept there so that nothing is lost or counted twice.
//!
//! A shard is computed by one process, and its result stands in a file of its own before the next one is begun. A file
//! comes into being whole or not at all, and holds a sum over its bytes and what the job was asked for: a job that is
//! started again takes up exactly the shards that are done.

use std::fs;
use std::path::{Path, PathBuf};

use limpid::files::write_atomically;
use limpid::math::merge::{Bytes, Merge, Shards};

use crate::Result;
use crate::options::Options;
use crate::world::World;

pub(crate) struct Job<'a> {
    pub(crate) world: &'a World,
    pub(crate) options: &'a Options,
    /// What the results depend on.
    fingerprint: u64,
    done: u64,
}

impl<'a> Job<'a> {
    /// `depends_on` names everything that the results depend on.
    pub(crate) fn new(world: &'a World, options: &'a Options, depends_on: &str) -> Self {
        Self { world, options, fingerprint: hash(depends_on.as_bytes()), done: 0 }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.options.out.join(name)
    }

    /// The total over `shards` parts, merged in their order, at the leader; `None` elsewhere.
    pub(crate) fn over_shards<A: Merge + Bytes + Clone>(
        &mut self,
        name: &str,
        shards: u64,
        mut compute: impl FnMut(u64) -> Result<A>,
    ) -> Result<Option<A>> {
        let (rank, size) = (self.world.rank() as u64, self.world.size());
        let mut mine = Shards::default();
        let mut kept = 0;
        for shard in (rank..shards).step_by(size) {
            let path = self.path(&format!("{name}-{shard:06}.bin"));
            let part = match self.load(&path)? {
                Some(bytes) => {
                    kept += 1;
                    A::from_bytes(&bytes)?
                }
                None => {
                    let part = compute(shard)?;
                    self.save(&path, &part.to_bytes())?;
                    self.count();
                    part
                }
            };
            mine.insert(shard, part)?;
        }
        println!("{name}: process {rank} of {size} has {} shards, {kept} of them from before", mine.len());
        let mut total = Shards::<A>::default();
        for bytes in self.world.gather(mine.to_bytes()) {
            total.merge(Shards::from_bytes(&bytes)?)?;
        }
        Ok(total.total()?)
    }

    /// What [`Job::save`] wrote; `None` where there is no such file, or a damaged one.
    pub(crate) fn load(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let Ok(bytes) = fs::read(path) else { return Ok(None) };
        let whole = bytes.split_last_chunk().filter(|(body, sum)| hash(body) == u64::from_le_bytes(**sum));
        let Some((body, _)) = whole else {
            println!("{} is damaged, and made again", path.display());
            return Ok(None);
        };
        match body.split_first_chunk() {
            Some((first, body)) if u64::from_le_bytes(*first) == self.fingerprint => Ok(Some(body.to_vec())),
            _ => {
                Err(format!("{} is of a job with other options: give another --out, or --restart", path.display())
                    .into())
            }
        }
    }

    pub(crate) fn save(&self, path: &Path, body: &[u8]) -> Result<()> {
        let mut bytes = self.fingerprint.to_le_bytes().to_vec();
        bytes.extend(body);
        bytes.extend(hash(&bytes).to_le_bytes());
        Ok(write_atomically(path, &bytes)?)
    }

    /// Counts a unit of work that is safe on disk; the process of a rehearsal ends here.
    pub(crate) fn count(&mut self) {
        self.done += 1;
        if self.options.die_at == Some(self.done) && self.world.rank() + 1 == self.world.size() {
            std::process::abort();
        }
    }
}

/// FNV-1a over the bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
