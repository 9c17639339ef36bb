//! The cookies of a request (RFC 6265, section 4.2). Other pages of the host may set cookies of
//! arbitrary bytes; an invalid cookie never hides a valid one.

use axum::http::{HeaderMap, header};

/// The names and values of a request's cookies, in order. HTTP/2 may split them into several
/// headers, and a name may repeat. Pairs that are not UTF-8 are skipped.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

/// The values of the cookies with a name, in order.
pub fn cookies_named<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    cookies(headers).filter(move |(named, _)| *named == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_bytes(line).expect("a header"))).collect()
    }

    fn read(lines: &[&[u8]]) -> Vec<(String, String)> {
        cookies(&headers(lines)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_foreign_cookie_hides_no_cookie_of_fairline() {
        for lines in [
            &["promo=é; ours=1".as_bytes()][..],
            &[b"promo=\xe9; ours=1"],
            &[b"promo=\xff\xfe", b"ours=1"],
            &[b"=; ;;promo; ours=1;"],
            &[b"ours=1;promo=\xe9"],
        ] {
            assert!(read(lines).contains(&("ours".to_owned(), "1".to_owned())), "{lines:?}");
        }
        let twice = headers(&[b"ours=1; our=x", b"ours=2; xours=3"]);
        assert_eq!(cookies_named(&twice, "ours").collect::<Vec<_>>(), ["1", "2"]);
    }

    proptest! {
        #[test]
        fn a_cookie_is_found_among_any_others_in_any_number_of_headers(
            before in prop::collection::vec("[^;\\x00-\\x1f\\x7f]{0,20}", 0..4),
            after in prop::collection::vec("[^;\\x00-\\x1f\\x7f]{0,20}", 0..4),
            noise in prop::collection::vec(0x80_u8..=0xff, 0..8),
            together: bool,
        ) {
            let noise = [b"promo=", noise.as_slice()].concat();
            let foreign = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect::<Vec<_>>();
            let pairs = [foreign(&before), vec![noise, b"ours=a.b-c_d".to_vec()], foreign(&after)].concat();
            let lines = if together { vec![pairs.join(&b"; "[..])] } else { pairs };
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let headers = headers(&lines);
            prop_assert_eq!(cookies_named(&headers, "ours").next(), Some("a.b-c_d"));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
                prop_assert!(cookies(&headers).all(|(name, _)| !name.contains([';', '='])));
            }
        }
    }
}
