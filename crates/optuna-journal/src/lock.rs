//! The lock of a journal, as Optuna's programs take it, so that they and this one can write the same file.
//!
//! ```text
//! take:     create FILE.lock, which fails if it is there; then wait 1 ms, 2 ms, 4 ms ‥ 1 s between attempts
//! break:    a lock that has not changed for 30 s belongs to a program that was killed: release it
//! release:  if FILE.lock is still the one meant, rename it to a unique name, and remove that
//! ```
//!
//! The lock uses only files, so it works between machines that share a folder over a network. The 30 s are measured by
//! the process that waits, because the clocks of machines differ. (Optuna's lock may be a symbolic link to the journal;
//! what counts here is when the link was made, not when the journal was written.) A file of that name that is neither
//! empty nor a link is not a lock, and is left alone.
//!
//! A program that is stopped for half a minute while it holds the lock loses it. It checks [`Lock::is_held`] just before
//! it writes. It may still be stopped in the microseconds between that check and the write, or between the last look at
//! FILE.lock and its renaming. Optuna's programs do not check.

use crate::error::{Error, Fault};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// After this time without a change a lock is broken. No program holds one for as long: to append a line takes
/// milliseconds.
const GRACE: Duration = Duration::from_secs(30);
/// After this time of waiting the user is told the reason.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// The backoff between attempts: the first pause, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The lock of a file, until it is dropped.
pub(crate) struct Lock {
    path: PathBuf,
    identity: Identity,
    /// Kept open, so that no other file gets its inode number.
    _file: File,
}

/// What distinguishes a file from another one that had the same name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Identity {
    place: [u64; 2],
    modified: Option<SystemTime>,
}

impl Lock {
    /// Waits for the lock of a file, and takes it. `say` is told once if that takes longer than two seconds.
    ///
    /// # Errors
    /// If the file that would be the lock is something else, or cannot be made.
    pub fn of(file: &Path, say: &dyn Fn(&str)) -> Result<Self, Error> {
        Self::after(file, GRACE, LONGEST_PAUSE, say)
    }

    fn after(file: &Path, grace: Duration, longest_pause: Duration, say: &dyn Fn(&str)) -> Result<Self, Error> {
        let path = with_suffix(file, ".lock");
        let system = |e: io::Error| Fault::Lock(e).of(&path);
        let (begun, mut said) = (Instant::now(), false);
        let (mut pause, mut last, mut since) = (FIRST_PAUSE, None, begun);
        loop {
            match File::create_new(&path) {
                Ok(file) => {
                    let identity = Identity::of(&file.metadata().map_err(system)?);
                    return Ok(Self { path, identity, _file: file });
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(system(e)),
            }
            // `None` if it has just been released.
            let found = fs::symlink_metadata(&path).ok();
            if found.as_ref().is_some_and(|found| !(found.is_symlink() || found.is_file() && found.len() == 0)) {
                return Err(Fault::NotALock.of(&path));
            }
            let found = found.as_ref().map(Identity::of);
            if found != last {
                (last, since) = (found, Instant::now());
            } else if let Some(stale) = found.filter(|_| since.elapsed() > grace) {
                release(&path, stale);
                pause = FIRST_PAUSE;
                continue;
            }
            if begun.elapsed() > TELL_AFTER && !said {
                let most = grace.as_secs();
                say(&format!(
                    "waiting for {}, which another process holds; if that was killed, for {most} s",
                    path.display()
                ));
                said = true;
            }
            sleep(pause);
            pause = (2 * pause).min(longest_pause);
        }
    }

    /// Whether no other process has broken it.
    pub fn is_held(&self) -> bool {
        Identity::at(&self.path) == Some(self.identity)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.path, self.identity);
    }
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { place: [metadata.dev(), metadata.ino()], modified: metadata.modified().ok() }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { place: [0; 2], modified: metadata.modified().ok() }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().as_ref().map(Self::of)
    }
}

/// Removes this lock. It is no error if it is gone already, or belongs to another process by now: a process that waits
/// too long breaks it.
fn release(lock: &Path, identity: Identity) {
    if Identity::at(lock) == Some(identity) {
        let renamed = with_suffix(lock, &format!("{:016x}.rename", random()));
        let _ = fs::rename(lock, &renamed).and_then(|()| fs::remove_file(&renamed));
    }
}

/// A random number, for a name that no other process has.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// How long it takes to get the lock, with a grace of 0.2 s.
    fn waited(file: &Path) -> Duration {
        let begun = Instant::now();
        let lock = Lock::after(file, Duration::from_millis(200), LONGEST_PAUSE, &|_| ()).unwrap();
        let waited = begun.elapsed();
        drop(lock);
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        waited
    }

    #[test]
    fn a_lock_that_nobody_moves_is_broken_after_the_grace_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("study.log");
        let lock = with_suffix(&file, ".lock");
        assert!(waited(&file) < Duration::from_millis(100), "a lock that is free is waited for");
        // The time on it may be of another machine's clock: what counts is how long it stays the same.
        for on_it in [SystemTime::UNIX_EPOCH, SystemTime::now(), SystemTime::now() + Duration::from_secs(3600)] {
            File::create(&lock).unwrap().set_modified(on_it).unwrap();
            let waited = waited(&file);
            assert!((200..5000).contains(&waited.as_millis()), "{waited:?}");
        }
        // Optuna's are symbolic links to the journal, by a path that may lead nowhere from there. Writing to the
        // journal does not move them.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("folder/study.log", &lock).unwrap();
            let waited_for_it = waited(&file);
            assert!((200..5000).contains(&waited_for_it.as_millis()), "{waited_for_it:?}");

            let elsewhere = tempfile::NamedTempFile::new().unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), &lock).unwrap();
            let taken = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let begun = Instant::now();
                    while !taken.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(5) {
                        elsewhere.as_file().set_modified(SystemTime::now()).unwrap();
                        sleep(FIRST_PAUSE);
                    }
                });
                let waited_for_it = waited(&file);
                taken.store(true, Ordering::SeqCst);
                assert!((200..5000).contains(&waited_for_it.as_millis()), "{waited_for_it:?}");
            });
        }
    }

    #[test]
    fn a_lock_that_moves_is_waited_for_as_long_as_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("study.log");
        let lock = with_suffix(&file, ".lock");
        let holder = File::create(&lock).unwrap();
        let released = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Longer than the grace, and seen many times before it moves again.
                for moved in 1..=60 {
                    holder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(moved)).unwrap();
                    sleep(Duration::from_millis(100));
                }
                released.store(true, Ordering::SeqCst);
                fs::remove_file(&lock).unwrap();
            });
            let said = Mutex::new(Vec::new());
            let say = |line: &str| said.lock().unwrap().push(line.to_owned());
            let taken = Lock::after(&file, Duration::from_secs(5), FIRST_PAUSE, &say).unwrap();
            let want =
                format!("waiting for {}, which another process holds; if that was killed, for 5 s", lock.display());
            assert_eq!(*said.lock().unwrap(), [want]);
            assert!(released.load(Ordering::SeqCst), "it was broken while its holder was alive");
            drop(taken);
        });
    }

    #[test]
    fn what_is_no_lock_is_refused_at_once_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("Cargo.lock");
        let refused = || {
            let begun = Instant::now();
            let message = Lock::of(&dir.path().join("Cargo"), &|_| ()).err().unwrap().to_string();
            assert_eq!(message, format!("{}: it is not a lock; move it, or give another file", lock.display()));
            assert!(begun.elapsed() < Duration::from_secs(5));
        };
        fs::write(&lock, "[[package]]").unwrap();
        refused();
        assert_eq!(fs::read_to_string(&lock).unwrap(), "[[package]]");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        refused();
        assert!(lock.is_dir());
    }

    #[test]
    fn only_the_lock_that_is_meant_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("study.log");
        let broken = Lock::of(&file, &|_| ()).unwrap();
        assert!(broken.is_held());
        release(&broken.path, broken.identity);
        assert!(!broken.is_held());
        let fresh = Lock::of(&file, &|_| ()).unwrap();
        // One that waited for the first, and thinks it stale, comes too late; so does its holder.
        release(&broken.path, broken.identity);
        assert!(!broken.is_held() && fresh.is_held());
        drop(broken);
        assert!(fresh.is_held());
        drop(fresh);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_at_a_time_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("study.log");
        let held = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = Lock::of(&file, &|_| ()).unwrap();
                        assert!(!held.swap(true, Ordering::SeqCst), "two hold it");
                        std::thread::yield_now();
                        held.store(false, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
