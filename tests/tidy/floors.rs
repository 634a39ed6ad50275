//! Which crates of the workspace a crate may use.

/// Each crate, and the crates of the workspace that it may depend on. A test may use `testkit` too.
const FLOORS: [(&str, &[&str]); 8] = [
    ("mnist-io", &[]),
    ("optuna-journal", &[]),
    ("tensor", &[]),
    ("layers", &["tensor"]),
    ("optim", &["tensor"]),
    ("train", &["mnist-io", "optuna-journal", "tensor", "layers", "optim"]),
    ("groundup", &["mnist-io", "optuna-journal", "tensor", "layers", "optim", "train"]),
    (JUDGE, &[]),
];

/// The crate of references. It depends on nothing, so that no reference can borrow the code it judges.
const JUDGE: &str = "testkit";
/// The members that nobody depends on.
const NOBODY: [&str; 2] = ["groundup-tests", "groundup-benches"];

/// Dependencies that point upwards or sideways, crates without a floor, and floors without their crate.
pub fn findings(manifests: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, manifest) in manifests {
        let Some((_, allowed)) = FLOORS.iter().find(|(crate_name, _)| crate_name == name) else {
            found.push(format!("crates/{name}: it has no floor; write it into `FLOORS`, with what it may use"));
            continue;
        };
        for (section, dependency) in dependencies(manifest) {
            let of_tests = section.contains("dev-dependencies");
            let ours = FLOORS.iter().any(|(crate_name, _)| *crate_name == dependency) || NOBODY.contains(&&*dependency);
            let allowed = allowed.contains(&&*dependency) || (of_tests && dependency == JUDGE);
            let place = format!("crates/{name}/Cargo.toml, [{section}]");
            if ours && !allowed {
                found.push(format!("{place}: `{dependency}` is not below it; move what both need to a lower floor"));
            } else if name == JUDGE {
                found.push(format!("{place}: `{dependency}`; a judge uses `std` alone"));
            }
        }
    }
    for (name, _) in FLOORS.iter().filter(|(name, _)| !manifests.iter().any(|(there, _)| there == name)) {
        found.push(format!("crates/{name}: it is not there; write it, or take it off `FLOORS`"));
    }
    found
}

/// The dependencies of a manifest, each with its section.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let (mut found, mut section) = (Vec::new(), String::new());
    for line in manifest.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_string();
            // `[dependencies.name]`
            if let Some((kind, name)) = section.rsplit_once('.').filter(|(kind, _)| kind.ends_with("dependencies")) {
                found.push((kind.to_string(), name.to_string()));
            }
        } else if section.ends_with("dependencies") {
            let name: String = line.chars().take_while(|&c| c.is_alphanumeric() || "_-\"".contains(c)).collect();
            if !name.is_empty() {
                found.push((section.clone(), name.replace('"', "")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings of all crates, of which `name` has this manifest.
    fn with(name: &str, manifest: &str) -> Vec<String> {
        let of = |crate_name: &str| if crate_name == name { manifest.to_string() } else { String::new() };
        findings(&FLOORS.map(|(crate_name, _)| (crate_name.to_string(), of(crate_name))))
    }

    #[test]
    fn a_dependency_that_points_up_or_sideways_is_refused() {
        assert!(with("layers", "[dependencies]\ntensor.workspace = true\nrand = \"1\"\n").is_empty());
        for manifest in [
            "[dependencies]\ntrain.workspace = true",
            "[dependencies]\noptim = { path = \"../optim\" }",
            "[dependencies.optim]\npath = \"../optim\"",
            "[target.'cfg(unix)'.dependencies]\n\"mnist-io\" = \"0.1\"",
            "[build-dependencies]\ntestkit.workspace = true",
            "[dependencies]\ngroundup-tests.workspace = true",
        ] {
            let found = with("layers", manifest);
            assert!(found.len() == 1 && found[0].contains("is not below it"), "{manifest}: {found:?}");
        }
    }

    #[test]
    fn a_test_may_use_the_judge_and_the_judge_uses_nothing() {
        assert!(with("layers", "[dev-dependencies]\ntestkit.workspace = true\nserde_json = \"1\"").is_empty());
        assert_eq!(with("layers", "[dev-dependencies]\ntrain.workspace = true").len(), 1);
        assert_eq!(with("testkit", "[dependencies]\nrand = \"0.10\"").len(), 1);
        assert!(with("testkit", "[package]\nname = \"testkit\"\n[dependencies]\n# none\n").is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_is_refused_and_a_floor_without_its_crate() {
        assert!(findings(&[("utils".to_string(), String::new())])[0].starts_with("crates/utils: it has no floor"));
        let found =
            findings(&FLOORS[1..].iter().map(|(name, _)| (name.to_string(), String::new())).collect::<Vec<_>>());
        assert!(found.len() == 1 && found[0].starts_with("crates/mnist-io: it is not there"), "{found:?}");
    }
}
