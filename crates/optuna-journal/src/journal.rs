//! The file: read on, mend a line that was cut short, append under the lock.

use crate::error::{Error, Fault};
use crate::json::{RECORD, parsed};
use crate::lock::{Lock, random};
use crate::record::{self, Direction, FinishedTrial};
use crate::replay::{NO_RECORD, Replay, StudyState};
use serde_json::{Map, Value};
use std::fs::{File, create_dir_all};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The study that a journal is opened for.
#[derive(Clone, Copy, Debug)]
pub struct StudyOptions<'a> {
    /// Its name, for `optuna.load_study`.
    pub name: &'a str,
    /// A study of that name with another direction is refused.
    pub direction: Direction,
    /// How the program calls itself in the records it writes.
    pub program: &'a str,
}

/// A journal as far as it was read, and the state of one of its studies.
pub struct Journal<S> {
    /// As it was given, for messages.
    path: PathBuf,
    /// Without links, so that every program that writes to it takes the same lock.
    file: PathBuf,
    /// Bytes and lines that were read.
    bytes: u64,
    lines: usize,
    /// The bytes after them, up to the end of the file: a line without its end.
    unfinished: Vec<u8>,
    replay: Replay<S>,
    /// Who writes. Different from Optuna's names, which are UUIDs, and from those of other processes and machines.
    worker: String,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

/// A journal under its lock, in which all that was written is read, and to which no other program writes. The lock is
/// released when this is dropped.
pub struct Locked<'a, S> {
    journal: &'a mut Journal<S>,
    file: File,
    lock: Lock,
}

impl<S: StudyState> Journal<S> {
    /// Opens a journal, which is made if it is not there, as is its folder. `say` is told if the lock is waited for.
    ///
    /// # Errors
    /// If the file cannot be read and written, or is not a journal.
    pub fn create(
        path: &Path,
        study: StudyOptions<'_>,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        create_dir_all(folder_of(path)).map_err(|e| Fault::from(e).of(path))?;
        let mut journal = Self::new(path, study, Box::new(say))?;
        journal.lock_file(true)?;
        Ok(journal)
    }

    /// Opens a journal that is there, and reads it. `say` is told if the lock is waited for, later.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a journal.
    pub fn open(
        path: &Path,
        study: StudyOptions<'_>,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let mut journal = Self::new(path, study, Box::new(say))?;
        if matches!(journal.file.try_exists(), Ok(false)) {
            return Err(Fault::Absent.of(path));
        }
        journal.refresh()?;
        Ok(journal)
    }

    fn new(path: &Path, study: StudyOptions<'_>, say: Box<dyn Fn(&str) + Send + Sync>) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            file: without_links(path).map_err(|fault| fault.of(path))?,
            bytes: 0,
            lines: 0,
            unfinished: Vec::new(),
            replay: Replay::new(study.name, study.direction),
            worker: format!("{}-{}-{:016x}", study.program, std::process::id(), random()),
            say,
        })
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of the study, if it is in the journal.
    pub fn study(&self) -> Option<u64> {
        self.replay.study()
    }

    /// The state of the study.
    pub fn state(&self) -> &S {
        &self.replay.state
    }

    /// Reads what was written since it was last read. Takes no lock.
    ///
    /// # Errors
    /// If the file cannot be read, is shorter than before, or has a line that is no record.
    pub fn refresh(&mut self) -> Result<(), Error> {
        let read = File::open(&self.file).map_err(Fault::from).and_then(|mut file| self.read_on(&mut file));
        read.map_err(|fault| fault.of(&self.path))
    }

    /// Mends a last line without its end, if there is one. It may be one that is being written: whether it is, is known
    /// under the lock.
    ///
    /// # Errors
    /// As [`Journal::lock`].
    pub fn mend_last_line(&mut self) -> Result<(), Error> {
        if self.unfinished.is_empty() { Ok(()) } else { self.lock().map(drop) }
    }

    /// Waits for the lock, and reads what was written since the journal was last read. A last line without its end is
    /// mended.
    ///
    /// # Errors
    /// If the file cannot be read and written, is shorter than before, or has a line that is no record; if the file that
    /// would be the lock is another file.
    pub fn lock(&mut self) -> Result<Locked<'_, S>, Error> {
        self.lock_file(false)
    }

    fn lock_file(&mut self, create: bool) -> Result<Locked<'_, S>, Error> {
        let lock = Lock::of(&self.file, &*self.say)?;
        let opened = File::options().read(true).append(true).create(create).open(&self.file);
        let mut file = opened.map_err(|e| Fault::from(e).of(&self.path))?;
        let read = self.read_on(&mut file).and_then(|()| self.mend(&mut file, &lock));
        read.map_err(|fault| fault.of(&self.path))?;
        Ok(Locked { journal: self, file, lock })
    }

    /// The bytes after the lines that were read.
    fn unread(&self, file: &mut File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut unread = Vec::new();
        file.read_to_end(&mut unread)?;
        if file.metadata()?.len() < self.bytes {
            return Err(io::Error::other("it has become shorter"));
        }
        Ok(unread)
    }

    /// Reads up to the end of the last whole line.
    fn read_on(&mut self, file: &mut File) -> Result<(), Fault> {
        let unread = self.unread(file)?;
        self.unfinished.clear();
        for line in unread.split_inclusive(|&byte| byte == b'\n') {
            if line.ends_with(b"\n") {
                self.read(line)?;
                continue;
            }
            let known = line.len().min(RECORD.len());
            if line[..known] != RECORD.as_bytes()[..known] {
                return Err(Fault::Line { number: self.lines + 1, what: NO_RECORD });
            }
            self.unfinished = line.to_vec();
        }
        Ok(())
    }

    /// Reads a line.
    fn read(&mut self, line: &[u8]) -> Result<(), Fault> {
        let number = self.lines + 1;
        let record = parsed(line).unwrap_or(Value::Null);
        self.replay.apply(&record).map_err(|what| Fault::Line { number, what })?;
        (self.bytes, self.lines) = (self.bytes + line.len() as u64, number);
        Ok(())
    }

    /// Removes a line that has no end, or ends it if only the end is missing.
    fn mend(&mut self, file: &mut File, lock: &Lock) -> Result<(), Fault> {
        if self.unfinished.is_empty() {
            return Ok(());
        }
        self.check_untouched(file, lock)?;
        let line = [&self.unfinished[..], b"\n"].concat();
        if parsed(&line).is_some() {
            self.read(&line)?;
            file.write_all(b"\n")?;
        } else {
            file.set_len(self.bytes)?;
        }
        file.sync_data()?;
        self.unfinished.clear();
        Ok(())
    }

    /// That nobody has written since all was read, nor may write now. Otherwise records of others would be removed, or
    /// joined with ours.
    fn check_untouched(&self, file: &mut File, lock: &Lock) -> Result<(), Fault> {
        let untouched = self.unread(file)? == self.unfinished && lock.is_held();
        untouched.then_some(()).ok_or(Fault::TakenOver)
    }

    /// Writes records to the disk, after the last line, and reads them.
    fn append(&mut self, records: &[Value], file: &mut File, lock: &Lock) -> Result<(), Fault> {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        self.check_untouched(file, lock)?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        self.read_on(file)
    }
}

impl<S: StudyState> Locked<'_, S> {
    /// Creates the study, if it is not there, and sets its user attributes.
    ///
    /// # Errors
    /// If the file cannot be written, or the lock was lost.
    pub fn create_study(&mut self, attributes: &Map<String, Value>) -> Result<(), Error> {
        let Journal { replay, worker, .. } = &*self.journal;
        let id = replay.study().unwrap_or(replay.next_study());
        let attributes = record::attributes(id, attributes, worker);
        if replay.study().is_some() {
            return self.append(&[attributes]);
        }
        let study = record::study(&replay.name, replay.direction, worker);
        self.append(&[study, attributes])
    }

    /// Adds a trial to the study.
    ///
    /// # Errors
    /// If the study is not there, or a number of the trial is not finite; if the file cannot be written, or the lock was
    /// lost.
    pub fn add_trial(&mut self, trial: &FinishedTrial) -> Result<(), Error> {
        let fault = |fault: Fault| Err(fault.of(&self.journal.path));
        let Some(study) = self.journal.study() else { return fault(Fault::NoStudy) };
        if !trial.is_finite() {
            return fault(Fault::NotFinite);
        }
        let record = trial.record(study, &self.journal.worker);
        self.append(&[record])
    }

    fn append(&mut self, records: &[Value]) -> Result<(), Error> {
        let Self { journal, file, lock } = self;
        journal.append(records, file, lock).map_err(|fault| fault.of(&journal.path))
    }
}

impl<S> Deref for Locked<'_, S> {
    type Target = Journal<S>;

    fn deref(&self) -> &Journal<S> {
        self.journal
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path of a file, which need not be there, without symbolic links.
fn without_links(path: &Path) -> Result<PathBuf, Fault> {
    match path.canonicalize() {
        Err(e) if e.kind() == ErrorKind::NotFound && path.is_symlink() => Err(Fault::DanglingLink),
        Err(e) if e.kind() == ErrorKind::NotFound => match folder_of(path).canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => Err(Fault::Absent),
            folder => Ok(folder?.join(path.file_name().unwrap_or_default())),
        },
        file => Ok(file?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TrialRecord;
    use serde_json::json;
    use std::fs;

    /// Keeps nothing.
    #[derive(Default)]
    struct Nothing;

    impl StudyState for Nothing {
        fn attribute(&mut self, _name: &str, _value: &Value) -> Result<(), &'static str> {
            Ok(())
        }

        fn trial(&mut self, _trial: TrialRecord<'_>) -> Result<(), &'static str> {
            Ok(())
        }
    }

    /// A journal that was read from `text`, its folder, its file and its lock.
    fn read(text: &str) -> (tempfile::TempDir, Journal<Nothing>, File, Lock) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("study.log");
        fs::write(&path, text).unwrap();
        let options = StudyOptions { name: "tuning", direction: Direction::Minimize, program: "test" };
        let journal = Journal::open(&path, options, |_| ()).unwrap();
        let lock = Lock::of(&path, &|_| ()).unwrap();
        let file = File::options().read(true).append(true).open(&path).unwrap();
        (dir, journal, file, lock)
    }

    /// What others write after the lock was broken is neither removed nor written into.
    #[test]
    fn a_process_that_has_lost_the_lock_does_not_write() {
        let study = "{\"op_code\":0,\"study_name\":\"first\",\"directions\":[1]}\n";
        let torn = "{\"op_code\":4,\"st";
        let another = json!({"op_code": 0, "study_name": "second", "directions": [1]});
        type Write<'a> = &'a dyn Fn(&mut Journal<Nothing>, &mut File, &Lock) -> Result<(), Fault>;
        let writes: [(&str, Write<'_>); 3] = [
            (torn, &|journal, file, lock| journal.mend(file, lock)),
            (study.trim_end(), &|journal, file, lock| journal.mend(file, lock)),
            ("", &|journal, file, lock| journal.append(std::slice::from_ref(&another), file, lock)),
        ];
        for (tail, write) in writes {
            // The lock is gone; others have removed the tail and written, or ended it; or written after it.
            let text = format!("{study}{tail}");
            for after in [text.clone(), format!("{study}{study}"), format!("{text}\n"), format!("{text}{study}")] {
                let (_dir, mut journal, mut file, lock) = read(&text);
                let path = journal.file.clone();
                fs::write(&path, &after).unwrap();
                if after == text {
                    fs::remove_file(path.with_file_name("study.log.lock")).unwrap();
                }
                let result = write(&mut journal, &mut file, &lock);
                assert!(matches!(result, Err(Fault::TakenOver)), "{result:?} with {tail:?} then {after:?}");
                assert_eq!(fs::read_to_string(&path).unwrap(), after);
            }
            let (_dir, mut journal, mut file, lock) = read(&text);
            write(&mut journal, &mut file, &lock).unwrap();
            assert!(fs::read_to_string(&journal.file).unwrap().ends_with("}\n"));
        }
    }
}
