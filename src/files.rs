//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` so that a reader finds either the old file or the new one, whenever the process or the machine
/// stops: to a file beside it first, which then takes its name.
///
/// # Errors
/// Those of the file system; the old file is still there then.
///
/// # Example
/// ```
/// use limpid::files::write_atomically;
///
/// let path = std::env::temp_dir().join("limpid-files-example");
/// write_atomically(&path, b"state")?;
/// assert_eq!(std::fs::read(&path)?, b"state");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // nothing half-written stays; the first error is the one to report
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // the new name itself must survive, where folders can be synced
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// A name in the same folder that belongs to this process.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a file name"))?;
    let mut name = name.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let folder = std::env::temp_dir().join(format!("limpid-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // a folder cannot be replaced by a file
        fs::create_dir(folder.join("taken")).unwrap();
        assert!(write_atomically(&folder.join("taken"), b"x").is_err());
        assert!(write_atomically(Path::new("/"), b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
