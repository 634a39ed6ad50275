//! The pages lead where they say: every file that the README and the pages under `docs` link to is there.

use std::fs;
use std::path::{Path, PathBuf};

/// What a page links to, without addresses on the network and places within a page.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|link| link.split('#').next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
}

#[test]
fn every_file_that_a_page_links_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this package");
    let entries = fs::read_dir(root.join("docs")).expect("docs is a folder");
    let docs = entries.map(|entry| entry.expect("docs can be read").path());
    let pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([root.join("README.md")]).collect();
    let (mut count, mut missing) = (0, Vec::new());
    for page in &pages {
        let text = fs::read_to_string(page).expect("a page is text");
        for link in links(&text) {
            count += 1;
            if !page.with_file_name(link).exists() {
                missing.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "links that lead nowhere:\n{}", missing.join("\n"));
    assert!(pages.len() > 3 && count > 100, "{count} links in {} pages: they are not found", pages.len());
}
