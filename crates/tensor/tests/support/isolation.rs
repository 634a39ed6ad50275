//! Tests of threads: a pool that is busy, a limit of time, a process of its own.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long something that must happen is waited for, on a machine that may be busy.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Keeps the `others` other threads of this pool busy, until what it returns is dropped.
pub fn keep_busy(others: usize) -> Vec<mpsc::Sender<()>> {
    let (began, begun) = mpsc::channel();
    let ends = (0..others).map(|_| {
        let (end, ended) = mpsc::channel::<()>();
        let began = began.clone();
        rayon::spawn(move || {
            // The receiver may have given up.
            let _ = began.send(());
            // Nothing is ever sent: it ends when the other side is dropped.
            let _ = ended.recv();
        });
        end
    });
    let ends: Vec<_> = ends.collect();
    for _ in 0..others {
        begun.recv_timeout(MINUTE).expect("another thread of the pool is free");
    }
    ends
}

/// Runs a test on a thread of its own, so that one that hangs fails.
pub fn within_two_minutes(test: impl FnOnce() + Send + 'static) {
    let (done, result) = mpsc::channel();
    let runs = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match result.recv_timeout(2 * MINUTE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => runs.join().expect("its assertions hold"),
    }
}

/// Runs `body` in a process of its own; `name` is the test that it is the body of. For a test that counts all threads
/// of the process, or that would leave spinning threads behind if it failed.
pub fn in_a_process(name: &str, body: impl FnOnce()) {
    const IN_A_PROCESS: &str = "THREADS_TEST_IN_A_PROCESS";
    if std::env::var_os(IN_A_PROCESS).is_some() {
        body();
        return;
    }
    let mut run = Command::new(std::env::current_exe().expect("this test has a path"));
    run.args(["--exact", name]).env(IN_A_PROCESS, "1").stdout(Stdio::piped());
    let mut child = run.spawn().expect("this test runs");
    let start = Instant::now();
    while child.try_wait().expect("a child can be asked").is_none() {
        if start.elapsed() > MINUTE {
            child.kill().expect("a child can be ended");
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it has ended");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{} after {:?}: {text}", output.status, start.elapsed());
}
