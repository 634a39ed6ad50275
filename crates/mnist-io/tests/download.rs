//! The download, from servers of our own on the loopback interface. (If `HTTP_PROXY` is set, let `NO_PROXY` hold
//! 127.0.0.1: the downloader honours both.)

use mnist_io::Error;
use mnist_io::download::{Outcome, fetch};
use mnist_io::file::hex;
use mnist_io::mnist::PublishedFile;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a server says to every request.
#[derive(Clone)]
enum Answer {
    /// The bytes, with their length.
    Good(Vec<u8>),
    /// The bytes without their length: the end of the connection is the end of the file.
    WithoutLength(Vec<u8>),
    /// A longer length than there are bytes.
    CutShort(Vec<u8>),
    /// A status, and a page of HTML.
    Page(&'static str),
    /// To go to another address.
    Redirect(String),
    /// So many zeros, without saying how many.
    Zeros(usize),
    /// Nothing: the connection is closed at once.
    Silence,
}

/// A server on a port of its own, for at most 8 requests and 10 seconds, and not longer than the value lives.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}/mnist/", listener.local_addr().unwrap());
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped, deadline) = (requests.clone(), stop.clone(), Instant::now() + Duration::from_secs(10));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) && Instant::now() < deadline && log.lock().unwrap().len() < 8 {
                match listener.accept() {
                    // What goes wrong with a client shows in what the client says.
                    Ok((stream, _)) => drop(serve(&stream, &answer, &log)),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    /// The first lines of the requests so far.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut stream: &TcpStream, answer: &Answer, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    log.lock().unwrap().push(request);
    let page = b"<!DOCTYPE html>\n<html><body>Something went wrong.</body></html>\n".to_vec();
    let ok = "200 OK";
    let (status, header, body) = match answer {
        Answer::Good(bytes) => (ok, format!("Content-Length: {}\r\n", bytes.len()), bytes.clone()),
        Answer::WithoutLength(bytes) => (ok, String::new(), bytes.clone()),
        Answer::CutShort(bytes) => (ok, format!("Content-Length: {}\r\n", bytes.len() + 1000), bytes.clone()),
        Answer::Page(status) => {
            (*status, format!("Content-Type: text/html\r\nContent-Length: {}\r\n", page.len()), page)
        }
        Answer::Redirect(to) => ("302 Found", format!("Location: {to}\r\nContent-Length: 0\r\n"), vec![]),
        Answer::Zeros(count) => (ok, String::new(), vec![0; *count]),
        Answer::Silence => return Ok(()),
    };
    stream.write_all(format!("HTTP/1.1 {status}\r\n{header}Connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&body)?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// An address nobody listens at.
fn deserted() -> String {
    format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

const NAME: &str = "digits-idx1-ubyte.gz";

/// The bytes to be published: long enough to come in several pieces.
fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn published() -> PublishedFile {
    PublishedFile { name: "digits-idx1-ubyte", sha256: hex(&Sha256::digest(content())).leak() }
}

/// Fetches; also gives what was said of the progress.
fn fetch_from(dir: &Path, mirrors: &[&str]) -> (Result<Outcome, Error>, Vec<(u64, u64)>) {
    let mut progress = Vec::new();
    let result = fetch(&published(), dir, mirrors, &mut |done, total| progress.push((done, total)));
    (result, progress)
}

/// Names of what is in a folder.
fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The published file is in its place, and nothing else.
fn assert_in_place(dir: &Path) {
    assert!(fs::read(dir.join(NAME)).unwrap() == content(), "other bytes than published");
    assert_eq!(listing(dir), [NAME]);
}

/// A mirror that answers so gives nothing, alone, and the next one is asked.
fn assert_passed_over(answer: Answer, reason: &str) {
    let bad = Server::start(answer);
    let dir = tempfile::tempdir().unwrap();
    let (result, _) = fetch_from(dir.path(), &[&bad.address]);
    let error = result.expect_err(reason);
    let message = error.to_string();
    let expected_reason =
        |reasons: &str| reasons.starts_with(&format!("{}{NAME}: ", bad.address)) && reasons.contains(reason);
    assert!(
        matches!(&error, Error::Download { file, reasons, .. } if file == NAME && expected_reason(reasons)),
        "{error:?}"
    );
    assert!(message.contains(NAME) && message.contains(reason) && !message.contains('\n'), "{message}");
    assert!(message.contains(dir.path().to_str().unwrap()), "where to put it by hand: {message}");
    assert_eq!(listing(dir.path()), [""; 0], "something is left");
    assert_eq!(bad.requests(), [format!("GET /mnist/{NAME} HTTP/1.1")]);

    let good = Server::start(Answer::Good(content()));
    let (result, _) = fetch_from(dir.path(), &[&bad.address, &good.address]);
    assert_eq!(result.unwrap(), Outcome::Fetched);
    assert_eq!((bad.requests().len(), good.requests().len()), (2, 1));
    assert_in_place(dir.path());
}

#[test]
fn a_file_is_fetched_checked_and_put_in_its_place_and_the_next_mirror_is_left_in_peace() {
    let (server, next) = (Server::start(Answer::Good(content())), Server::start(Answer::Good(content())));
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/if/need/be");
    let (result, progress) = fetch_from(&folder, &[&server.address, &next.address]);
    assert_eq!(result.unwrap(), Outcome::Fetched);
    assert_in_place(&folder);
    assert_eq!(server.requests(), [format!("GET /mnist/{NAME} HTTP/1.1")]);
    assert_eq!(next.requests(), [""; 0]);
    assert_eq!(progress.last(), Some(&(300_000, 300_000)), "progress ends at the total");
    assert!(progress.len() > 1 && progress.iter().all(|&(_, total)| total == 300_000), "{progress:?}");
    assert!(progress.windows(2).all(|pair| pair[0].0 < pair[1].0), "progress goes back: {progress:?}");
}

#[test]
fn a_mirror_that_does_not_say_the_length_is_good_enough() {
    let server = Server::start(Answer::WithoutLength(content()));
    let dir = tempfile::tempdir().unwrap();
    let (result, progress) = fetch_from(dir.path(), &[&server.address]);
    assert_eq!(result.unwrap(), Outcome::Fetched);
    assert_in_place(dir.path());
    assert_eq!(progress.last(), Some(&(300_000, 0)));
}

#[test]
fn a_mirror_that_has_moved_is_followed() {
    let server = Server::start(Answer::Good(content()));
    let moved = Server::start(Answer::Redirect(format!("{}elsewhere", server.address)));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(fetch_from(dir.path(), &[&moved.address]).0.unwrap(), Outcome::Fetched);
    assert_eq!(server.requests(), ["GET /mnist/elsewhere HTTP/1.1"]);
    assert_in_place(dir.path());
}

#[test]
fn content_other_than_published_is_never_put_in_place_and_the_next_mirror_is_asked() {
    let sum = |bytes: &[u8]| format!("SHA-256 {}, expected {}", hex(&Sha256::digest(bytes)), published().sha256);
    let mut one_bit = content();
    one_bit[150_000] ^= 1;
    assert_passed_over(Answer::Good(one_bit.clone()), &sum(&one_bit));
    assert_passed_over(Answer::Good(content()[1..].to_vec()), &sum(&content()[1..]));
    assert_passed_over(Answer::Good([content(), vec![0]].concat()), &sum(&[content(), vec![0]].concat()));
    assert_passed_over(Answer::WithoutLength(content()[..200_000].to_vec()), &sum(&content()[..200_000]));
    assert_passed_over(Answer::Good(vec![]), &sum(&[]));
}

#[test]
fn a_page_of_html_is_not_taken_for_the_file() {
    for (status, reason) in [("404 Not Found", "404"), ("503 Service Unavailable", "503"), ("403 Forbidden", "403")] {
        assert_passed_over(Answer::Page(status), reason);
    }
    // With status 200, as some hotels' networks do.
    assert_passed_over(Answer::Page("200 OK"), "the file is not the published one");
}

#[test]
fn a_body_cut_short_is_not_taken_for_the_file() {
    assert_passed_over(Answer::CutShort(content()[..200_000].to_vec()), "Peer disconnected");
    // Even if all of the file has come: the mirror announced another one.
    assert_passed_over(Answer::CutShort(content()), "Peer disconnected");
}

#[test]
fn a_body_without_end_is_given_up() {
    assert_passed_over(Answer::Zeros(34 << 20), "more than 33554432 bytes");
}

#[test]
fn a_mirror_that_does_not_answer_is_passed_over() {
    assert_passed_over(Answer::Silence, "Peer disconnected");
    let server = Server::start(Answer::Good(content()));
    let dir = tempfile::tempdir().unwrap();
    let (result, _) = fetch_from(dir.path(), &[&deserted(), "http:// no address", "nonsense", &server.address]);
    assert_eq!(result.unwrap(), Outcome::Fetched);
    assert_in_place(dir.path());
}

#[test]
fn when_no_mirror_gives_the_file_each_ones_reason_is_named_and_nothing_is_left() {
    let (missing, wrong) = (Server::start(Answer::Page("404 Not Found")), Server::start(Answer::Good(vec![1, 2, 3])));
    let deserted = deserted();
    let dir = tempfile::tempdir().unwrap();
    let (result, _) = fetch_from(dir.path(), &[&missing.address, &wrong.address, &deserted]);
    let message = result.expect_err("no mirror is good").to_string();
    let urls = [&missing.address, &wrong.address, &deserted].map(|mirror| format!("{mirror}{NAME}: "));
    let at = urls.map(|url| message.find(&url).unwrap_or_else(|| panic!("{url} not named: {message}")));
    assert!(at.is_sorted(), "in the order they were tried: {message}");
    assert!(message[at[0]..at[1]].contains("404") && message[at[1]..at[2]].contains("SHA-256"), "{message}");
    assert!(message.starts_with(&format!("{NAME}: ")) && !message.contains('\n'), "{message}");
    assert_eq!(listing(dir.path()), [""; 0]);
    let (result, _) = fetch_from(dir.path(), &[]);
    assert!(matches!(result, Err(Error::Download { .. })), "no mirror at all: {result:?}");
}

#[test]
fn a_file_that_is_there_is_not_fetched_again() {
    let server = Server::start(Answer::Good(content()));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(NAME), content()).unwrap();
    let (result, progress) = fetch_from(dir.path(), &[&server.address]);
    assert_eq!(result.unwrap(), Outcome::Present);
    assert_eq!((server.requests(), progress), (vec![], vec![]));
    assert_in_place(dir.path());
}

#[test]
fn a_damaged_file_that_is_there_is_fetched_anew_and_kept_if_that_fails() {
    let (server, wrong) = (Server::start(Answer::Good(content())), Server::start(Answer::Good(vec![7; 70])));
    let dir = tempfile::tempdir().unwrap();
    let damaged = &content()[..299_999];
    fs::write(dir.path().join(NAME), damaged).unwrap();
    fetch_from(dir.path(), &[&wrong.address]).0.expect_err("no mirror is good");
    assert!(fs::read(dir.path().join(NAME)).unwrap() == damaged, "what was there is not made worse");
    assert_eq!(listing(dir.path()), [NAME]);
    assert_eq!(fetch_from(dir.path(), &[&wrong.address, &server.address]).0.unwrap(), Outcome::Fetched);
    assert_eq!((wrong.requests().len(), server.requests().len()), (2, 1));
    assert_in_place(dir.path());
}

#[test]
fn a_plain_file_that_would_be_read_in_place_of_the_published_one_is_named_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("digits-idx1-ubyte");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&content()).unwrap();
    let packed = encoder.finish().unwrap();
    let file = PublishedFile { name: "digits-idx1-ubyte", sha256: hex(&Sha256::digest(&packed)).leak() };
    let server = Server::start(Answer::Good(packed.clone()));
    let fetch = || fetch(&file, dir.path(), &[&server.address], &mut |_, _| ());
    let damaged = &content()[..299_999];
    fs::write(&plain, damaged).unwrap();
    // Both when the .gz has just been fetched and when it was there.
    for _ in 0..2 {
        let error = fetch().expect_err("the plain file is damaged").to_string();
        assert!(error.starts_with(&format!("{}: not the published file", plain.display())), "{error}");
        assert!(error.ends_with("; delete it") && !error.contains('\n'), "{error}");
        assert!(fs::read(&plain).unwrap() == damaged && fs::read(dir.path().join(NAME)).unwrap() == packed);
    }
    // The cure is one, and the published file under the plain name, unpacked or not, is no matter.
    fs::remove_file(&plain).unwrap();
    assert_eq!(fetch().unwrap(), Outcome::Present);
    for good in [&content(), &packed] {
        fs::write(&plain, good).unwrap();
        assert_eq!(fetch().unwrap(), Outcome::Present);
    }
    assert_eq!(server.requests().len(), 1);
}
