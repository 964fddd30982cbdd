//! A file in the making: it bears its name only once it is whole.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file called `NAME.PROCESS.part` until [`Draft::finish`]; it goes away where it is dropped before.
pub struct Draft {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Draft {
    /// Starts a file; one that exists is replaced, at the end, only with `force`.
    ///
    /// # Errors
    /// A file that exists, a folder or device, a place that cannot be written.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| Error::at(path, "not a file name"))?;
        if path.exists() && !path.is_file() {
            return Err(Error::at(path, "exists and is not a regular file"));
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(Error::at(path, "exists already; --force replaces it"));
        }
        let mut part = name.to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(part);
        let file = File::create(&temporary).map_err(|e| Error::at(path, e))?;
        Ok(Self { file, temporary, path: path.to_owned(), done: false })
    }

    /// The name it is going to bear.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` from the byte `at` on.
    ///
    /// # Errors
    /// A disk that is full or fails.
    pub fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let put = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        put.map_err(|e| Error::at(&self.path, e))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn finish(mut self) -> Result<()> {
        let end = self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path));
        end.map_err(|e| Error::at(&self.path, e))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_borne_only_at_the_end() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a");
        let files = || fs::read_dir(folder.path()).unwrap().count();
        let mut draft = Draft::create(&path, false).unwrap();
        draft.put(0, b"whole").unwrap();
        assert!(!path.exists());
        drop(draft);
        assert_eq!(files(), 0);
        let mut draft = Draft::create(&path, false).unwrap();
        draft.put(0, b"whole").unwrap();
        draft.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), files()), (b"whole".to_vec(), 1));
        assert!(Draft::create(&path, false).is_err());
        drop(Draft::create(&path, true).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
