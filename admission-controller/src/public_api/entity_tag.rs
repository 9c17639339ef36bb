//! Comparing entity tags (RFC 9110). Pure.

use axum::http::{HeaderMap, header};

/// Whether the `If-None-Match` of a request has an entity tag, also as a weak one.
pub(super) fn is_named(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| names(tags.as_bytes(), tag))
}

fn names(tags: &[u8], tag: &str) -> bool {
    let Ok(tags) = std::str::from_utf8(tags) else { return false };
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_compared_weakly() {
        for (tags, is_named) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false), ("", false)]
        {
            assert_eq!(names(tags.as_bytes(), "\"a\""), is_named, "{tags}");
        }
        assert!(!names(b"\xff", "\"a\""));
    }
}
