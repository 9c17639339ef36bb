//! A response body with its entity tag.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

/// Clients need not poll faster than people read. A shared cache may serve an older copy while it
/// fetches a new one.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5");

/// A body, and its entity tag.
#[derive(Debug, Clone)]
pub(super) struct TaggedBody {
    body: String,
    tag: HeaderValue,
}

impl TaggedBody {
    pub(super) fn new(body: String) -> Self {
        use std::fmt::Write as _;
        let mut tag = String::from('"');
        for byte in &Sha256::digest(&body)[..16] {
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"none\""));
        Self { body, tag }
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The body, or 304 if the client has it.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let shown: [(HeaderName, HeaderValue); 2] =
            [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, CACHE_CONTROL)];
        // Weak comparison: a compressing proxy turns our tag into a weak one.
        let same =
            |given: &str| given == "*" || given.strip_prefix("W/").unwrap_or(given).as_bytes() == self.tag.as_bytes();
        let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        if known.any(|line| line.split(',').any(|given| same(given.trim()))) {
            return (StatusCode::NOT_MODIFIED, shown).into_response();
        }
        (shown, [(header::CONTENT_TYPE, "application/json")], self.body.clone()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_the_current_tag_gets_304() {
        let tagged = TaggedBody::new("{}".to_owned());
        let tag = tagged.tag.to_str().expect("text").to_owned();
        let answer = |given: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in given {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_str(line).expect("a header"));
            }
            tagged.answer(&headers).status().as_u16()
        };
        assert_eq!(answer(&[]), 200);
        assert_eq!(answer(&["\"other\""]), 200);
        assert_eq!(answer(&[tag.trim_matches('"')]), 200, "a tag has its quotes");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert_eq!(answer(&[&known]), 304, "{known}");
        }
        assert_eq!(answer(&["\"a\"", &tag]), 304, "two lines");
        assert_ne!(TaggedBody::new("{ }".to_owned()).tag, tagged.tag);
    }
}
