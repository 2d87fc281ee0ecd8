//! Number of files, and so connections, that the process may have open; and whether files are
//! still what they were.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, as Go programs do. The soft limit is 1024
/// on many systems, for programs that use `select`; each consumer is a file here.
/// Returns the limit; `None` where there is none.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { maximum, current } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// A number that is another one when files, or what is in directories, are not what they
/// were. What cannot be read counts as that.
#[must_use]
pub fn content(paths: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let mut within: Vec<_> = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .filter_map(|it| Some(it.ok()?.path()))
            .filter(|it| it.is_file())
            .collect();
        within.sort();
        within.hash(&mut hasher);
        for file in std::iter::once(path).chain(&within) {
            std::fs::read(file).ok().hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::content;

    #[test]
    fn changes_in_a_directory_are_seen_too() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned(), directory.path().join("a")];
        let mut seen = vec![content(&paths)];
        for text in ["1", "2"] {
            std::fs::write(&paths[1], text).unwrap();
            seen.push(content(&paths));
        }
        std::fs::write(directory.path().join("b"), "").unwrap();
        seen.push(content(&paths));
        assert_eq!(seen.last(), Some(&content(&paths)));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = super::raise_limit();
        let now = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(now.current, limit);
        assert_eq!(now.current, now.maximum);
    }
}
