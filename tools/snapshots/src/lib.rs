//! What the snapshot tests of the services share: examples of every variant of an enum, and the
//! texts of problems and of SQL statements.
//!
//! ```
//! use fairline_snapshots::{every_variant, statement};
//!
//! enum OrderError {
//!     NotPaid,
//!     TooMuch { left_minor: i64 },
//! }
//! let examples = every_variant!(OrderError { NotPaid, TooMuch { left_minor: 100 } });
//! assert_eq!(examples.map(|(name, _)| name), ["OrderError::NotPaid", "OrderError::TooMuch"]);
//!
//! assert_eq!(statement("SELECT id FROM orders"), "SELECT id\nFROM orders");
//! ```

use fairline_server::{Problem, ProblemType};

/// Examples of an enum, each with its name. A variant without an example does not compile.
#[macro_export]
macro_rules! every_variant {
    ($of:ident { $($variant:ident $(($example:expr))? $({ $($field:ident: $value:expr),+ })?),+ $(,)? }) => {{
        #[allow(unreachable_patterns, reason = "a variant may have several examples")]
        let _is_complete = |example: &$of| match example {
            $($of::$variant { .. } => {})+
        };
        [$((
            concat!(stringify!($of), "::", stringify!($variant)),
            $of::$variant $(($example))? $({ $($field: $value),+ })?,
        )),+]
    }};
}

/// A problem, with the name of its error.
pub type NamedProblem = (&'static str, Problem);

/// The problem of each error.
pub fn problems<E: Into<Problem>>(errors: impl IntoIterator<Item = (&'static str, E)>) -> Vec<NamedProblem> {
    errors.into_iter().map(|(name, error)| (name, error.into())).collect()
}

/// The body of each problem, below the name of its error.
///
/// # Panics
/// When no problem has one of the types, or a detail is not a sentence.
pub fn problem_bodies<E: Into<Problem>>(
    types: &[&ProblemType],
    errors: impl IntoIterator<Item = (&'static str, E)>,
) -> String {
    let problems = problems(errors);
    for kind in types {
        assert!(problems.iter().any(|(_, problem)| problem.slug() == kind.slug), "no error returns `{}`", kind.slug);
    }
    let text = |(name, problem): &NamedProblem| {
        assert!(problem.detail_text().is_some_and(|detail| detail.ends_with(['.', '`'])), "{name}");
        let body = serde_json::to_string_pretty(problem).expect("strings, numbers and JSON are JSON");
        format!("{name}\n{body}\n\n")
    };
    problems.iter().map(text).collect()
}

/// A statement with its clauses on lines of their own.
#[must_use]
pub fn statement(sql: &str) -> String {
    let clauses = ["SELECT", "FROM", "WHERE", "AND", "UNION", "RETURNING", "ORDER", "),"];
    clauses.iter().fold(sql.to_owned(), |text, clause| text.replace(&format!(" {clause} "), &format!("\n{clause} ")))
}
