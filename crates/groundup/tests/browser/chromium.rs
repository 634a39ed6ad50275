//! Chromium without a window.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// Where it is: `CHROME`, or a usual name in `PATH`.
pub fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROME").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).flat_map(|dir| names.map(|name| dir.join(name))).find(|path| path.is_file())
}

/// The document of a page once its scripts have run. `dir` is for the browser's own files.
///
/// # Panics
/// If the browser does not start or does not come to an end.
pub fn dump(chromium: &Path, page: &Path, dir: &Path) -> String {
    let out = dir.join("dom.html");
    let mut child = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900"])
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stdout(Stdio::from(File::create(&out).unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > PATIENCE => {
                child.kill().unwrap();
                panic!("Chromium did not come to an end in {PATIENCE:?}");
            }
            None => sleep(Duration::from_millis(50)),
        }
    };
    assert!(status.success(), "Chromium: {status}");
    fs::read_to_string(out).unwrap()
}
