//! A judge of the Korean page: whether its results are in Korean.

/// What a Korean text calls so too.
const NAMES: [&str; 2] = ["sigmoid", "tanh"];

/// The results of a page, cells of tables and titles of pictures that have an English word in them. Names with a
/// capital letter are no words, nor is a single letter.
pub fn english_results(page: &str) -> Vec<&str> {
    let english = |text: &&str| {
        let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
        words.any(|word| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase()) && !NAMES.contains(&word))
    };
    let elements = [
        ("<p class=\"result\"", "</p>"),
        ("</a><p", "</p>"),
        ("<th ", "</th>"),
        ("<td", "</td>"),
        ("<title", "</title>"),
    ];
    let of = |(start, end): (&str, &str)| {
        let found: Vec<&str> = page.split(start).skip(1).filter_map(|after| after.split(end).next()).collect();
        assert!(!found.is_empty(), "the page has no {start}…{end}");
        found.into_iter().filter_map(|text| Some(text.split_once('>')?.1)).filter(english).collect::<Vec<_>>()
    };
    elements.into_iter().flat_map(of).collect()
}

#[test]
fn english_results_are_found_wherever_they_stand() {
    let page = |result, title, head, cell, picture| {
        format!(
            "<li><a href=\"#x\"><b>제목</b></a><p>{title}</p></li><p class=\"result\"><b>결과.</b> {result}</p>\
             <th scope=\"col\">{head}</th><td>{cell}</td><svg><title>{picture}</title></svg>"
        )
    };
    let korean = ["마지막 손실: SGD 0.1", "갱신 3번", "sigmoid, He 초깃값", "1.0e-3", "x와 y"];
    let [a, b, c, d, e] = korean;
    assert!(english_results(&page(a, b, c, d, e)).is_empty());
    let bad = "last 3";
    let pages = [
        page(bad, b, c, d, e),
        page(a, bad, c, d, e),
        page(a, b, bad, d, e),
        page(a, b, c, bad, e),
        page(a, b, c, d, bad),
    ];
    for page in pages {
        let found = english_results(&page);
        assert!(found.len() == 1 && found[0].ends_with(bad), "{found:?} in {page}");
    }
}
