//! Conversions between the types of the schema and those of the domain. Pure.

use fairline_line::ticket::Ordinal;
use fairline_record::Hash;

/// The schema checks that counters are positive.
pub(crate) fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// The schema checks that ordinals are positive.
pub(crate) fn ordinal(n: i64) -> Ordinal {
    Ordinal::try_from(n).unwrap_or(0)
}

/// A number as a `bigint`.
pub(crate) fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// 32 bytes; the schema checks the length.
pub(crate) fn hash(bytes: &[u8]) -> Hash {
    Hash(bytes.try_into().unwrap_or_default())
}
