//! A small judge of markup: whether a figure would be read by a program that reads XML.

/// The first fault in the markup of an XML document of elements, attributes, text and the five entities: tags that do
/// not balance, attributes without quotes or given twice, a bare & or <, text outside the root. `None` if it is
/// well-formed.
pub fn markup_fault(text: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut roots = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (words, tag_on) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        if open.is_empty() && !words.trim().is_empty() {
            return Some(format!("text outside the root: {words:?}"));
        }
        if let Some(fault) = bare(words) {
            return Some(fault);
        }
        if tag_on.is_empty() {
            break;
        }
        let Some((tag, after)) = tag_on[1..].split_once('>') else { return Some(format!("no end of tag: {tag_on:?}")) };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return Some(format!("</{name}> closes another element"));
            }
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name_end = tag.find(char::is_whitespace).unwrap_or(tag.len());
        let (name, attributes) = tag.split_at(name_end);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Some(format!("an element named {name:?}"));
        }
        if let Some(fault) = attribute_fault(attributes) {
            return Some(format!("{fault} in <{tag}>"));
        }
        roots += usize::from(open.is_empty());
        if !closed {
            open.push(name);
        }
    }
    match (open.last(), roots) {
        (Some(name), _) => Some(format!("<{name}> is not closed")),
        (None, 1) => None,
        (None, roots) => Some(format!("{roots} roots")),
    }
}

/// An & that starts none of the five entities.
fn bare(text: &str) -> Option<String> {
    let known = ["amp;", "lt;", "gt;", "quot;", "apos;"];
    let bare = text.split('&').skip(1).find(|after| !known.iter().any(|entity| after.starts_with(entity)));
    bare.map(|after| format!("a bare & before {after:?}"))
}

fn attribute_fault(mut attributes: &str) -> Option<String> {
    let mut names = Vec::new();
    while !attributes.trim().is_empty() {
        let spaced = attributes.starts_with(char::is_whitespace);
        let Some((name, value)) = attributes.trim_start().split_once("=\"") else {
            return Some(format!("no quoted value: {attributes:?}"));
        };
        let Some((value, rest)) = value.split_once('"') else { return Some(format!("no end of {name}")) };
        let letters = |b: u8| b.is_ascii_alphanumeric() || b"-:".contains(&b);
        if !spaced || name.is_empty() || !name.bytes().all(letters) || value.contains('<') || names.contains(&name) {
            return Some(format!("attribute {name:?}"));
        }
        if let Some(fault) = bare(value) {
            return Some(fault);
        }
        names.push(name);
        attributes = rest;
    }
    None
}

#[test]
fn the_checker_of_markup_refuses_what_is_not_well_formed() {
    assert_eq!(markup_fault("<a b=\"1\" c-d=\"x &amp; y\">é &lt; <b/>\n<c>d</c></a>\n"), None);
    for wrong in [
        "",
        "text",
        "<a>",
        "</a>",
        "<a></b>",
        "<a><b></a></b>",
        "<a/><b/>",
        "<a/>text",
        "<a b=1/>",
        "<a b=\"1/>",
        "<a b/>",
        "<a b=\"1\" b=\"2\"/>",
        "<a b=\"1\"c=\"2\"/>",
        "<a b=\"<\"/>",
        "<a>x & y</a>",
        "<a b=\"&\"/>",
        "<a>x < y</a>",
        "<a",
        "< a/>",
    ] {
        assert!(markup_fault(wrong).is_some(), "{wrong:?} was let pass");
    }
}
