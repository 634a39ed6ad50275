//! The loop, who is told of it, and the log.

mod common;

use common::{images, small};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tensor::Exec;
use train::{Config, EpochReport, Error, JsonLog, Length, Observer, Quiet, StepReport, Trainer, run, weights_sha256};

/// A call of an observer.
#[derive(Clone, Copy, Debug)]
enum Call {
    Step(StepReport),
    Epoch(EpochReport),
}

/// Who was called, and with what.
type Book = Rc<RefCell<Vec<(&'static str, Call)>>>;

/// Writes down what it is told, in a book that several may share.
struct Scribe {
    name: &'static str,
    book: Book,
    /// The step it fails at, if any.
    fails_at: Option<u64>,
}

impl Observer for Scribe {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.book.borrow_mut().push((self.name, Call::Step(*report)));
        match self.fails_at {
            Some(step) if step == report.step => {
                Err(Error::Config { what: "the scribe is tired".to_owned(), cure: "wake it".to_owned() })
            }
            _ => Ok(()),
        }
    }
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.book.borrow_mut().push((self.name, Call::Epoch(*report)));
        Ok(())
    }
}

fn scribes(names: [&'static str; 2]) -> (Book, [Scribe; 2]) {
    let book = Book::default();
    let all = names.map(|name| Scribe { name, book: Rc::clone(&book), fails_at: None });
    (book, all)
}

fn names(book: &[(&'static str, Call)]) -> String {
    let word = |(name, call): &(&str, Call)| match call {
        Call::Step(report) => format!("{name}{}", report.step),
        Call::Epoch(report) => format!("{name}:{}", report.epoch),
    };
    book.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn trainer(config: Config) -> Trainer {
    Trainer::new(config, Exec::serial(), images(25, 1)).unwrap()
}

/// 25 samples in batches of 10: two steps an epoch.
fn config(length: Length) -> Config {
    Config { length, batch: 10, ..small(&[7]) }
}

#[test]
fn a_run_in_epochs_tells_of_every_step_and_every_epoch_in_order_to_each_observer_in_turn() {
    let (train, test) = (images(25, 1), images(13, 2));
    let mut trainer = trainer(config(Length::Epochs(3)));
    let (book, [mut a, mut b]) = scribes(["a", "b"]);
    let outcome = run(&mut trainer, &train, &test, &mut [&mut a, &mut Quiet, &mut b]).unwrap();
    let book = book.borrow();
    assert_eq!(names(&book), "a1 b1 a2 b2 a:1 b:1 a3 b3 a4 b4 a:2 b:2 a5 b5 a6 b6 a:3 b:3");

    let mut losses = Vec::new();
    let mut time = Duration::ZERO;
    for (name, call) in book.iter() {
        match call {
            Call::Step(report) => {
                assert_eq!((report.steps, report.epoch), (6, (report.step - 1) / 2));
                assert_eq!(report.learning_rate, 0.1);
                if *name == "a" {
                    losses.push(report.loss);
                }
            }
            Call::Epoch(report) => {
                assert_eq!(report.step, 2 * report.epoch);
                let mean = (losses[losses.len() - 2] + losses[losses.len() - 1]) / 2.0;
                assert!((report.mean_loss - mean).abs() < 1e-12, "mean of {losses:?}: {}", report.mean_loss);
                assert!(report.training_time >= time && (name == &"b" || report.training_time > time));
                time = report.training_time;
            }
        }
    }
    assert_eq!(outcome.steps, 6);
    assert_eq!(outcome.train_loss, losses[5]);
    assert_eq!(outcome.training_time, time);
    let Some((_, Call::Epoch(last))) = book.last() else { panic!("the last call is not an epoch") };
    assert_eq!((outcome.train_accuracy, outcome.test_accuracy), (last.train_accuracy, last.test_accuracy));
    assert_eq!(outcome.train_accuracy, trainer.accuracy(&train).unwrap());
    assert_eq!(outcome.test_accuracy, trainer.accuracy(&test).unwrap());
    assert_ne!(outcome.train_accuracy, outcome.test_accuracy, "train and test are not told apart by these data");
}

#[test]
fn the_losses_of_a_run_are_those_of_its_steps_made_by_hand() {
    let data = images(25, 1);
    let mut by_hand = trainer(config(Length::Steps(5)));
    let want: Vec<f64> = (0..5).map(|_| by_hand.step().unwrap()).collect();
    let mut trainer = trainer(config(Length::Steps(5)));
    let (book, [mut a, _]) = scribes(["a", "-"]);
    let outcome = run(&mut trainer, &data, &data, &mut [&mut a]).unwrap();
    // In steps: five, though that is two epochs and a half, and no word of an epoch.
    assert_eq!(names(&book.borrow()), "a1 a2 a3 a4 a5");
    let mut got = Vec::new();
    for (step, (_, call)) in book.borrow().iter().enumerate() {
        let Call::Step(report) = call else { panic!("{call:?}") };
        assert_eq!((report.epoch, report.steps), (step as u64 / 2, 5));
        got.push(report.loss);
    }
    assert_eq!(got, want);
    assert_eq!(outcome.train_accuracy, by_hand.accuracy(&data).unwrap());
    assert_eq!(weights_sha256(trainer.network()), weights_sha256(by_hand.network()));
}

#[test]
fn a_run_goes_on_from_where_its_trainer_is_and_makes_the_rest_of_the_steps() {
    let data = images(25, 1);
    let mut whole = trainer(config(Length::Epochs(3)));
    run(&mut whole, &data, &data, &mut []).unwrap();
    let mut begun = trainer(config(Length::Epochs(3)));
    for _ in 0..4 {
        begun.step().unwrap();
    }
    let (book, [mut a, _]) = scribes(["a", "-"]);
    let outcome = run(&mut begun, &data, &data, &mut [&mut a]).unwrap();
    assert_eq!(names(&book.borrow()), "a5 a6 a:3");
    assert_eq!(outcome.steps, 6);
    assert_eq!(weights_sha256(whole.network()), weights_sha256(begun.network()));
    // And one that is at its end makes none.
    let again = run(&mut begun, &data, &data, &mut [&mut a]).unwrap();
    assert_eq!((again.steps, again.training_time), (6, Duration::ZERO));
    assert_eq!(again.test_accuracy, outcome.test_accuracy);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_names_its_step() {
    let data = images(25, 1);
    let config = Config { learning_rate: 1e25, ..config(Length::Steps(50)) };
    let mut by_hand = trainer(config.clone());
    let mut losses = Vec::new();
    while losses.last().is_none_or(|loss: &f64| loss.is_finite()) {
        losses.push(by_hand.step().unwrap());
    }
    let at = losses.len() as u64;
    assert!((2..50).contains(&at), "the loss is not finite at step {at}: {losses:?}");

    let mut trainer = trainer(config);
    let (book, [mut a, _]) = scribes(["a", "-"]);
    let error = run(&mut trainer, &data, &data, &mut [&mut a]).unwrap_err();
    let Error::NotFinite { step, loss, learning_rate } = error else { panic!("{error}") };
    assert_eq!((step, learning_rate), (at, 1e25));
    assert!(!loss.is_finite());
    assert_eq!(trainer.steps(), at, "steps made after the loss was lost");
    assert_eq!(book.borrow().len() as u64, at - 1, "an observer is told of a loss that is no number");
    let message = error.to_string();
    for part in [format!("step {at}"), "not finite".to_owned(), "lower the learning rate".to_owned()] {
        assert!(message.contains(&part), "{message:?} says nothing of {part:?}");
    }
    assert_eq!(message.lines().count(), 1, "{message:?}");
}

#[test]
fn an_observer_that_fails_ends_the_run_at_once() {
    let data = images(25, 1);
    let mut trainer = trainer(config(Length::Epochs(3)));
    let (book, [mut a, mut b]) = scribes(["a", "b"]);
    a.fails_at = Some(3);
    let error = run(&mut trainer, &data, &data, &mut [&mut a, &mut b]).unwrap_err();
    assert_eq!(error.to_string(), "the scribe is tired; wake it");
    assert_eq!(names(&book.borrow()), "a1 b1 a2 b2 a:1 b:1 a3");
    assert_eq!(trainer.steps(), 3);
}

/// The lines of a log.
fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
}

#[test]
fn the_log_has_a_line_for_the_run_each_step_each_epoch_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    std::fs::write(&path, "what stood there before\n").unwrap();
    let (train, test) = (images(25, 1), images(13, 2));
    let mut trainer = trainer(config(Length::Epochs(2)));
    let mut log = JsonLog::create(&path, json!({"hidden": [7], "preset": "book"}).as_object().unwrap()).unwrap();
    assert_eq!(lines(&path), [json!({"schema": 1, "event": "run", "hidden": [7], "preset": "book"})]);
    let first = std::fs::read_to_string(&path).unwrap();
    assert!(first.starts_with("{\"schema\":1,\"event\":\"run\","), "{first:?}");

    let (book, [mut a, _]) = scribes(["a", "-"]);
    run(&mut trainer, &train, &test, &mut [&mut a, &mut log]).unwrap();
    let mut want = vec![lines(&path)[0].clone()];
    for (_, call) in book.borrow().iter() {
        want.push(match call {
            Call::Step(r) => {
                json!({"event": "step", "step": r.step, "epoch": r.epoch, "loss": r.loss, "learning_rate": 0.1})
            }
            Call::Epoch(r) => json!({"event": "epoch", "epoch": r.epoch, "step": r.step, "mean_loss": r.mean_loss,
                "train_accuracy": r.train_accuracy, "test_accuracy": r.test_accuracy,
                "seconds": r.training_time.as_secs_f64()}),
        });
    }
    assert_eq!(lines(&path), want);
    log.finish(json!({"steps": 4}).as_object().unwrap()).unwrap();
    want.push(json!({"event": "end", "steps": 4}));
    assert_eq!(lines(&path), want);
    assert_eq!(want.len(), 1 + 4 + 2 + 1);
}

#[test]
fn a_log_can_be_read_while_the_run_goes_on_at_the_end_of_each_epoch() {
    /// Reads the log after it was written to.
    struct Reader<'a>(&'a std::path::Path, usize);
    impl Observer for Reader<'_> {
        fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
            let lines = lines(self.0);
            let last = lines.last().unwrap();
            assert_eq!((&last["event"], &last["epoch"]), (&json!("epoch"), &json!(report.epoch)));
            assert_eq!(lines.len() as u64, 1 + report.step + report.epoch);
            self.1 += 1;
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let data = images(25, 1);
    let mut log = JsonLog::create(&path, json!({}).as_object().unwrap()).unwrap();
    let mut reader = Reader(&path, 0);
    run(&mut trainer(config(Length::Epochs(3))), &data, &data, &mut [&mut log, &mut reader]).unwrap();
    assert_eq!(reader.1, 3);
}

#[test]
fn the_log_of_a_run_that_diverges_has_every_step_that_was_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let data = images(25, 1);
    let mut log = JsonLog::create(&path, json!({}).as_object().unwrap()).unwrap();
    let mut trainer = trainer(Config { learning_rate: 1e25, ..config(Length::Steps(50)) });
    let error = run(&mut trainer, &data, &data, &mut [&mut log]).unwrap_err();
    drop(log);
    let Error::NotFinite { step, .. } = error else { panic!("{error}") };
    let lines = lines(&path);
    assert_eq!(lines.len() as u64, step, "the settings and all steps but the last");
    assert!(lines[1..].iter().all(|line| line["loss"].is_f64()), "{lines:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "x").unwrap();
    let path = file.join("run.jsonl");
    let message = JsonLog::create(&path, json!({}).as_object().unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("run.jsonl") && message.lines().count() == 1, "{message:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
    // A folder that is not there yet is made.
    let path = folder.path().join("new/run.jsonl");
    assert!(JsonLog::create(&path, json!({}).as_object().unwrap()).is_ok() && path.exists());
}

#[test]
fn a_log_never_shows_half_a_line_and_its_own_keys_win() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let settings = json!({"event": "mine", "schema": 99, "hidden": [7]});
    let mut log = JsonLog::create(&path, settings.as_object().unwrap()).unwrap();
    assert_eq!(lines(&path), [json!({"schema": 1, "event": "run", "hidden": [7]})]);
    let mut longest = 0;
    for step in 1..=2000 {
        log.step(&StepReport { step, steps: 2000, epoch: 0, loss: 1.0 / 3.0, learning_rate: 0.1 }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "after step {step}: {:?}", &text[text.len().saturating_sub(40)..]);
        longest = text.len();
    }
    assert!(longest > 1 << 16, "the log was written before its end, {longest} bytes");
}
