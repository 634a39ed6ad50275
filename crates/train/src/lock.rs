//! The lock of a journal, as Optuna's programs take it, so that they and this one can write the same file.
//!
//! ```text
//! take:     create FILE.lock, which fails if it is there; then wait 1 ms, 2 ms, 4 ms ‥ 1 s between trials
//! break:    one that has not changed for 30 s is of a program that was killed: it is released
//! release:  rename FILE.lock to a name of one's own, remove that: of two that release it at once, one finds it gone
//! ```
//!
//! Nothing but files is used, so that it works between machines that share a folder over a network. The 30 s are those of the one who waits: clocks of
//! machines differ. (Optuna's lock may be a symbolic link to the journal; what counts here is when the link was made, not when the journal was written.)

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Nobody holds a lock as long: to append a line takes milliseconds.
const GRACE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The lock of a file, until it is dropped.
pub(crate) struct Lock(PathBuf);

impl Lock {
    /// Waits for the lock of a file, and takes it.
    ///
    /// # Errors
    /// What the system says of the lock's file.
    pub fn of(file: &Path) -> io::Result<Self> {
        Self::after(file, GRACE, LONGEST_PAUSE)
    }

    fn after(file: &Path, grace: Duration, longest_pause: Duration) -> io::Result<Self> {
        let path = with_suffix(file, ".lock");
        let (mut pause, mut last, mut since) = (FIRST_PAUSE, None, Instant::now());
        loop {
            match File::create_new(&path) {
                Ok(_) => return Ok(Self(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
            // None if it has just been released.
            let changed = fs::symlink_metadata(&path).and_then(|lock| lock.modified()).ok();
            if changed != last {
                (last, since) = (changed, Instant::now());
            } else if since.elapsed() > grace {
                release(&path);
                pause = FIRST_PAUSE;
                continue;
            }
            sleep(pause);
            pause = (2 * pause).min(longest_pause);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.0);
    }
}

/// That it is gone already is no error: whoever waits too long breaks it.
fn release(lock: &Path) {
    static RELEASED: AtomicU64 = AtomicU64::new(0);
    let own = format!("{}-{}.rename", std::process::id(), RELEASED.fetch_add(1, Ordering::Relaxed));
    let renamed = with_suffix(lock, &own);
    let _ = fs::rename(lock, &renamed).and_then(|()| fs::remove_file(&renamed));
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::SystemTime;

    /// How long it takes to get the lock, with a grace of 0.2 s.
    fn waited(file: &Path) -> Duration {
        let begun = Instant::now();
        let lock = Lock::after(file, Duration::from_millis(200), LONGEST_PAUSE).unwrap();
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
        // Optuna's are symbolic links to the journal, by a path that may lead nowhere from there. Writing to the journal does not move them.
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
                // Twice the grace, and seen many times before it moves again.
                for moved in 1..=20 {
                    holder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(moved)).unwrap();
                    sleep(Duration::from_millis(100));
                }
                released.store(true, Ordering::SeqCst);
                release(&lock);
            });
            let taken = Lock::after(&file, Duration::from_secs(1), FIRST_PAUSE).unwrap();
            assert!(released.load(Ordering::SeqCst), "it was broken while its holder was alive");
            drop(taken);
        });
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
                        let lock = Lock::of(&file).unwrap();
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
