//! Where `unsafe` may stand.

use crate::source::{Source, tokens};

const FORBID: &str = "#![forbid(unsafe_code)]";

/// A bench calls the product of a rival crate through pointers.
const RIVALS: &str = "benches/engines.rs";

/// Files with `unsafe` outside of `tensor`. Two kinds are allowed: the rivals of the benches, and a test that counts
/// allocations, since an allocator is an unsafe trait.
pub fn unsafe_outside_tensor(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with("crates/tensor/") && source.path != RIVALS) {
        let tokens = tokens(&source.code());
        let allocator = source.path.contains("/tests/") && tokens.iter().any(|(_, token)| token == "GlobalAlloc");
        let first = tokens.iter().find(|(_, token)| token == "unsafe").filter(|_| !allocator);
        if let Some((line, _)) = first {
            found.push(format!("{}:{line}: `unsafe`; give `tensor` a safe function that does it", source.path));
        }
    }
    found
}

/// Crates but `tensor` that do not forbid `unsafe`.
pub fn roots_without_forbid(sources: &[Source]) -> Vec<String> {
    let is_root = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        matches!(parts[..], ["crates", name, "src", "lib.rs" | "main.rs"] if name != "tensor")
    };
    let lacks = |source: &&Source| is_root(&source.path) && !source.code().lines().any(|line| line.trim() == FORBID);
    sources.iter().filter(lacks).map(|source| format!("{}: write `{FORBID}` above its modules", source.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_outside_of_tensor_is_refused() {
        let found = |path: &str, text: &str| unsafe_outside_tensor(&[Source::new(path, text)]);
        let code = "fn f() {\n    unsafe { g() }\n}\n";
        assert!(found("crates/layers/src/relu.rs", code)[0].starts_with("crates/layers/src/relu.rs:2: `unsafe`"));
        assert_eq!((found("benches/gemm.rs", code).len(), found("tests/links.rs", code).len()), (1, 1));
        assert!(found("crates/tensor/src/isa/avx2.rs", code).is_empty());
        assert!(found("crates/layers/src/relu.rs", "// unsafe\nlet x = \"unsafe\"; unsafe_code();").is_empty());
    }

    #[test]
    fn an_allocator_of_a_test_may_be_unsafe_and_one_of_a_crate_may_not() {
        let code = "unsafe impl GlobalAlloc for Counting {}";
        let found = |path: &str| unsafe_outside_tensor(&[Source::new(path, code)]).len();
        assert_eq!((found("crates/layers/tests/allocation.rs"), found("crates/layers/src/lib.rs")), (0, 1));
    }

    #[test]
    fn a_crate_that_does_not_forbid_unsafe_code_is_refused() {
        let found = |path: &str, text: &str| roots_without_forbid(&[Source::new(path, text)]).len();
        let (with, without) = (format!("//! A.\n{FORBID}\nmod a;"), format!("//! {FORBID}\nmod a;"));
        assert_eq!((found("crates/optim/src/lib.rs", &with), found("crates/optim/src/lib.rs", &without)), (0, 1));
        assert_eq!(
            (found("crates/groundup/src/main.rs", &without), found("crates/tensor/src/lib.rs", &without)),
            (1, 0)
        );
    }
}
