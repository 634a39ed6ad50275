//! `groundup search`

use super::{Failure, tell};
use crate::cli::Search;
use crate::data;
use crate::progress;
use crate::threads::{cores, on_threads};
use crate::trials::{SAMPLES, VALIDATION_SHARE, best_line, ranges_json, trials_json};
use serde_json::json;
use tensor::Exec;
use train::search::{Search as Plan, validation_split};
use train::{Length, Study};

/// Searches and prints the ranking.
pub fn run(options: &Search) -> Result<(), Failure> {
    let jobs = options.jobs.unwrap_or_else(cores);
    let exec = Exec::new(jobs)?;
    let digits = data::find(options.data.as_deref(), jobs)?;
    let (samples, _) = digits.mnist.train.split(SAMPLES);
    let (train, validation) = validation_split(&samples, VALIDATION_SHARE, options.seed);
    let mut plan = Plan::book(options.seed);
    plan.base.length = Length::Epochs(options.epochs);
    plan.base.architecture.inputs = train.width();
    plan.learning_rate = options.lr;
    plan.weight_decay = options.weight_decay;
    plan.rounds = vec![options.trials; options.rounds];
    plan.shard = options.shard;

    if !options.json {
        say!("data: {}: {} to train, {} to validate", digits.origin, train.len(), validation.len())?;
    }
    let total = plan.numbers().len();
    let bar = progress::bar(total as u64, "trials");
    let study = options.study.as_deref().map(|path| {
        let bar = bar.clone();
        let say = move |line: &str| bar.suspend(|| tell(line));
        match options.resume {
            true => Study::resume(path, &plan, &train, &validation, say),
            false => Study::begin(path, &plan, &train, &validation, say),
        }
    });
    let study = study.transpose()?;
    if let (Some(study), Some(path)) = (&study, &options.study) {
        let known = study.count(&plan);
        if options.resume && !options.json {
            say!("{known} of {total} trials are in {}", path.display())?;
        }
        bar.set_position(known as u64);
        bar.reset_eta();
    }
    let found = on_threads(jobs, || plan.run(exec, &train, &validation, study.as_ref(), &|_| bar.inc(1)))??;
    bar.finish_and_clear();
    if options.json {
        let ranking: Vec<usize> = found.ranking().iter().map(|trial| trial.number).collect();
        let object = json!({"data": digits.name, "seed": options.seed, "trials": trials_json(&found.trials),
            "ranges": ranges_json(&found), "ranking": ranking});
        say!("{object}")?;
    } else {
        for (round, [rate, decay]) in found.ranges.iter().enumerate() {
            let ([a, b], [c, d]) = (rate.bounds(), decay.bounds());
            say!("round {}: learning rate {a:.2e}..{b:.2e}, weight decay {c:.2e}..{d:.2e}", round + 1)?;
        }
        for (rank, trial) in found.ranking().into_iter().take(20).enumerate() {
            say!("{}", best_line(rank + 1, trial))?;
        }
    }
    Ok(())
}
