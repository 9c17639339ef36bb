//! Words of an enum in text columns.

use std::str::FromStr;

use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};

/// A value that a text column stores as a word, like a state. An unknown word is an error of its
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T>(pub T);

impl<T> Type<Postgres> for Word<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(info)
    }
}

impl<'row, T: FromStr> Decode<'row, Postgres> for Word<T> {
    fn decode(value: PgValueRef<'row>) -> Result<Self, BoxDynError> {
        let word = <&str as Decode<Postgres>>::decode(value)?;
        word.parse().map(Self).map_err(|_| format!("the word `{word}` is unknown").into())
    }
}
