//! `GET /problems/{slug}`: the row of docs/problems.md for a problem type, at the path in the
//! `type` of a problem.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The table of all services' types, so that each service explains those of the others, too: a
/// proxy routes the path to one of them.
const TABLE: &str = include_str!("../../../docs/problems.md");

pub(crate) async fn problem_page(Path(slug): Path<String>) -> Response {
    match explanation(&slug) {
        Some(text) => ([(header::CACHE_CONTROL, "public, max-age=3600")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "There is no such type of problem.\n").into_response(),
    }
}

/// The row of a type as text, with a line for each column that is not empty.
fn explanation(slug: &str) -> Option<String> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let mut rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let columns = rows.next()?;
    let row = rows.find(|row| row[0].ends_with(&format!("`{slug}`")))?;
    let lines = columns.iter().zip(&row).skip(1).filter(|(_, cell)| **cell != "–");
    let lines = lines.map(|(column, cell)| format!("{column}: {cell}\n"));
    Some(format!("{slug}\n\n{}", lines.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_type_has_a_page_and_unknown_ones_are_not_found() {
        let text = explanation("unavailable").expect("a row");
        assert!(text.starts_with("unavailable\n\nStatus: 503\nTitle: Temporarily unavailable\n"), "{text}");
        assert!(text.contains("\nOperator: `/health/ready`"), "{text}");
        assert_eq!(explanation("invalid-csrf-token").expect("a row").matches("\nShopper: ").count(), 0);
        for unknown in ["no-such-type", "", "`", "Type"] {
            assert_eq!(explanation(unknown), None, "{unknown}");
        }
    }
}
