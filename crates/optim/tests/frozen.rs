//! Every rule and schedule against values made once with PyTorch (`tests/frozen/make_frozen.py`).

use optim::{Form, Optimizer, Rule, Schedule};
use serde_json::Value;
use tensor::Exec;
use testkit::compare::{Bound, assert_close, assert_close_f64};

fn load(name: &str) -> Value {
    let path = format!("{}/../../tests/frozen/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect("the frozen values are committed")).expect("valid JSON")
}

fn list(value: &Value) -> Vec<f64> {
    value["data"].as_array().expect("a tensor").iter().map(|x| x.as_f64().expect("a number")).collect()
}

#[test]
fn every_rule_takes_the_steps_pytorch_takes() {
    let file = load("optim");
    let narrow = |value: &Value| list(value).into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let start = narrow(&file["problem"]["start"]);
    let gradients = narrow(&file["problem"]["gradients"]);
    let mut seen = Vec::new();
    for (name, case) in file.as_object().expect("an object") {
        if name == "problem" {
            continue;
        }
        let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{name} has {key}"));
        let mut words = name.split('_');
        let form = if words.next() == Some("book") { Form::Book } else { Form::Torch };
        let rule = match words.next() {
            Some("sgd") => Rule::Sgd,
            Some("momentum") => Rule::Momentum { alpha: number("momentum") },
            Some("nesterov") => Rule::Nesterov { alpha: number("momentum") },
            Some("adagrad") => Rule::AdaGrad,
            Some("rmsprop") => Rule::RmsProp { rho: number("rho") },
            Some("adam") => Rule::Adam { beta1: number("beta1"), beta2: number("beta2") },
            Some("adamw") => {
                Rule::AdamW { beta1: number("beta1"), beta2: number("beta2"), weight_decay: number("weight_decay") }
            }
            other => panic!("unknown rule {other:?} in {name}"),
        };
        let decay = if matches!(rule, Rule::AdamW { .. }) { 0.0 } else { number("weight_decay") };
        let rates = list(&case["lr"]);
        let want = list(&case["after"]);
        let mut weights = start.clone();
        let mut optimizer = Optimizer::new(rule, form, rates[0], &[start.len()]);
        for (t, &rate) in rates.iter().enumerate() {
            let at = t * start.len()..(t + 1) * start.len();
            optimizer.set_learning_rate(rate);
            optimizer.begin_step();
            optimizer.update(Exec::serial(), 0, &mut weights, &gradients[at.clone()], decay);
            let step = format!("{name}, step {}", t + 1);
            assert_close(&step, &weights, &want[at], Bound::Allclose { rtol: 2e-6, atol: 5e-7 });
        }
        seen.push(rule.name());
    }
    for rule in Rule::ALL {
        let name = rule.name();
        assert!(seen.iter().filter(|&&seen| seen == name).count() >= 2, "{name} has cases among {seen:?}");
    }
    assert_eq!(seen.len(), 31, "all cases of the file were run: {seen:?}");
}

#[test]
fn schedules_follow_pytorch() {
    let file = load("schedules");
    let check = |name: &str, schedule: Schedule| {
        let want = list(&file[name]["lr"]);
        let got: Vec<f64> = (0..want.len()).map(|epoch| schedule.rate(0.1, epoch as u64)).collect();
        assert_close_f64(name, &got, &want, Bound::Allclose { rtol: 1e-12, atol: 0.0 });
    };
    check("step", Schedule::Step { every: 5, gamma: 0.3 });
    check("cosine", Schedule::Cosine { period: 20, minimum: 0.001 });
}
