//! Ctrl-C while the chapter runs: what is finished stays.

#![cfg(unix)]

mod support {
    pub mod data;
    pub mod run;
}

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::data::digits;
use support::run::command;

#[test]
fn an_interrupted_chapter_leaves_the_finished_experiments_and_status_130() {
    for threads in ["1", "2"] {
        let dir = tempfile::tempdir().unwrap();
        // Many runs, so that the long experiments are not done before the signal comes.
        let args = ["chapter", "--data", digits(), "--runs", "50", "--threads", threads];
        let mut running = command(dir.path(), &args);
        let mut child = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let page = dir.path().join("report/index.html");
        let began = Instant::now();
        while !page.is_file() {
            if began.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("no experiment is finished");
            }
            sleep(Duration::from_millis(5));
        }
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let sent = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if sent.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("the signal does not end it");
            }
            sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(130), "{out}{err}");
        let said = err.lines().find(|line| line.starts_with("interrupted:"));
        assert!(said.is_some_and(|line| line.contains("optimizer-paths") && line.contains("index.html")), "{err}");
        assert!(out.lines().any(|line| line.starts_with("optimizer-paths")), "{out}");

        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("<section id=\"optimizer-paths\">") && text.trim_end().ends_with("</html>"));
        assert!(!text.contains("<section id=\"dropout\">"), "dropout cannot be finished");
        let names: Vec<String> = fs::read_dir(dir.path().join("report"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().all(|name| !name.starts_with('.') && !name.ends_with(".part")), "{names:?}");
        for file in ["optimizer-paths.svg", "optimizer-paths.json"] {
            assert!(names.iter().any(|name| name == file), "{names:?}");
        }
    }
}
