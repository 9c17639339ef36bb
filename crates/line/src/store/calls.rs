//! The functions of the library: their arguments and replies, by name.
//!
//! Arguments travel in the order of the fields here, a list after its length. Replies are pairs of
//! name and value; the records in them are lists of their fields in the order here.
//! `library/names.lua` is made from this file: `make generate` renews it.

use std::{collections::HashMap, time::Duration, vec::IntoIter};

use bytes::Bytes;
use fred::{
    error::{Error, ErrorKind},
    types::{FromValue, Value},
};

use crate::ticket::Ordinal;

/// A call of a function.
pub(super) trait Call {
    /// The name of the function, without the version.
    const FUNCTION: &'static str;
    /// The reply.
    type Reply: FromValue;
    /// The arguments as Redis receives them.
    fn into_arguments(self) -> Vec<Value>;
}

/// One argument, or a list of values with the names of its fields.
macro_rules! argument {
    (type) => { Value };
    (type $($field:ident)+) => { Vec<[Value; [$(stringify!($field)),+].len()]> };
    (values $value:expr) => { [$value] };
    (values $value:expr, $($field:ident)+) => {
        std::iter::once(number($value.len() as u64)).chain($value.into_iter().flatten())
    };
    (lua $name:ident) => { concat!("'", stringify!($name), "'") };
    (lua $name:ident $($field:ident)+) => {
        concat!("{ '", stringify!($name), "'", $(", '", stringify!($field), "'",)+ " }")
    };
}

macro_rules! calls {
    ($($call:ident = $function:literal { $($name:ident $([$($field:ident)+])?),* } -> $reply:ty;)+) => {
        $(
            pub(super) struct $call {
                $(pub(super) $name: argument!(type $($($field)+)?),)*
            }

            impl Call for $call {
                const FUNCTION: &'static str = $function;
                type Reply = $reply;

                fn into_arguments(self) -> Vec<Value> {
                    std::iter::empty()$(.chain(argument!(values self.$name $(, $($field)+)?)))*.collect()
                }
            }
        )+

        #[cfg(test)]
        const CALLS: &[(&str, &[&str])] =
            &[$(($function, &[$(argument!(lua $name $($($field)+)?)),*])),+];
    };
}

/// Fields of a reply, then lists of records.
macro_rules! replies {
    ($($reply:ident = $function:literal {
        $($name:ident: $type:ty),+
        $(; $($list:ident: $record:ident { $($field:ident: $field_type:ty),+ }),+)? $(,)?
    })+) => {
        $(
            pub(super) struct $reply {
                $(pub(super) $name: $type,)+
                $($(pub(super) $list: Vec<$record>,)+)?
            }

            $($(
                pub(super) struct $record {
                    $(pub(super) $field: $field_type,)+
                }

                impl $record {
                    fn read(values: &mut IntoIter<Value>) -> Result<Self, Error> {
                        Ok(Self { $($field: next(values, stringify!($field))?,)+ })
                    }
                }
            )+)?

            impl FromValue for $reply {
                fn from_value(value: Value) -> Result<Self, Error> {
                    let mut fields: HashMap<String, Value> = value.convert()?;
                    Ok(Self {
                        $($name: take(&mut fields, stringify!($name))?,)+
                        $($($list: records(take(&mut fields, stringify!($list))?, $record::read)?,)+)?
                    })
                }
            }
        )+

        #[cfg(test)]
        const REPLIES: &[(&str, &[&str])] =
            &[$(($function, &[$(argument!(lua $name),)+ $($(argument!(lua $list $($field)+)),+)?])),+];
    };
}

calls! {
    Join = "join" { batch, visitors, accounts } -> JoinReply;
    BindAccount = "bind_account" { digest, ordinal, visitor } -> u64;
    Resume = "resume" { tickets[ordinal visitor] } -> ResumeReply;
    Leave = "leave" { ordinal } -> u64;
    Claimed = "claim" { ordinal } -> u64;
    Find = "find" { ordinal } -> Bytes;
    Absent = "absent" { grace_ms, notify, ordinals[ordinal] } -> u64;
    Sweep = "sweep" { max } -> u64;
    Present = "present" { epoch, node, up_for_ms, connected } -> u64;
    RollCall = "roll_call" { grace_ms, after } -> u64;
    ReadUpcoming = "upcoming" { cursor, wanted, reach, record_max, recorded, up_to, history_after } -> UpcomingReply;
    ReadHome = "home" {} -> HomeReply;
    DeleteLine = "delete_line" {} -> u64;
    ClosePool = "close_pool" {} -> Ordinal;
    StoreDraw = "store_draw" { epoch, offset, bytes } -> u64;
    Publish = "publish" {
        publication, epoch, begins_in, above, cursor, granted, drawn, recall_ms, kept_ms, card, history_from,
        handled_claims[ordinal claim], turns[ordinal turn]
    } -> u64;
    RepublishTurns = "republish_turns" { epoch, publication, turn, ordinals } -> u64;
    ReadRevision = "revision" {} -> RevisionReply;
    ReadSnapshot = "snapshot" {} -> SnapshotReply;
    ReadNumbers = "numbers" {} -> Bytes;
}

replies! {
    JoinReply = "join" {
        epoch: u32,
        first: Ordinal;
        places: JoinedPlace { at: usize, ordinal: Ordinal, visitor: Bytes },
    }
    ResumeReply = "resume" { epoch: u32, rev: u64, turns: Vec<String> }
    UpcomingReply = "upcoming" {
        epoch: u32,
        home: String,
        highest: Ordinal,
        granted: Ordinal,
        cursor: u64,
        drawn: u64,
        waiting: u64,
        absent: u64,
        nodes: u64,
        recalled: u64,
        lags: u64;
        tickets: NextTicket { ordinal: Ordinal, visitor: Bytes },
        claims: ReportedClaim { ordinal: Ordinal, claim: String },
        arrivals: ArrivalRun { first: Ordinal, visitors: Bytes },
        history: PresenceEntry { id: String, kind: String, ordinals: String, visitors: Bytes },
    }
    HomeReply = "home" { run_id: String, epoch: u32, granted: Ordinal }
    RevisionReply = "revision" { epoch: u32, rev: u64 }
    SnapshotReply = "snapshot" {
        epoch: u32,
        rev: u64,
        cursor: u64,
        highest: Ordinal,
        card: String,
        departed: Bytes,
        recalled: Vec<u64>,
        drawn: u64,
    }
}

fn take<T: FromValue>(fields: &mut HashMap<String, Value>, name: &str) -> Result<T, Error> {
    let missing = || Error::new(ErrorKind::Parse, format!("the reply has no field {name}"));
    fields.remove(name).ok_or_else(missing)?.convert()
}

fn next<T: FromValue>(values: &mut IntoIter<Value>, name: &str) -> Result<T, Error> {
    let missing = || Error::new(ErrorKind::Parse, format!("a record of the reply has no field {name}"));
    values.next().ok_or_else(missing)?.convert()
}

fn records<T>(values: Vec<Value>, read: fn(&mut IntoIter<Value>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let mut values = values.into_iter();
    let mut records = Vec::new();
    while values.len() > 0 {
        records.push(read(&mut values)?);
    }
    Ok(records)
}

pub(super) fn number(n: u64) -> Value {
    Value::from(n.to_string())
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}

pub(super) fn milliseconds(duration: Duration) -> Value {
    number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{CALLS, REPLIES};
    use crate::port::LIBRARY;

    fn table(name: &str, functions: &[(&str, &[&str])]) -> String {
        let rows = functions.iter().map(|(function, names)| match names {
            [] => format!("    {function} = {{}},\n"),
            _ => format!("    {function} = {{ {} }},\n", names.join(", ")),
        });
        format!("local {name} = {{\n{}}}\n", rows.collect::<String>())
    }

    #[test]
    fn names_lua_is_up_to_date() {
        let names = format!(
            "-- Made from crates/line/src/store/calls.rs by its test: arguments in their order, and replies.\n\
             -- In braces: a list and the fields of its records.\n{}{}\n",
            table("ARGUMENTS", CALLS),
            table("REPLIES", REPLIES)
        );
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/library/names.lua");
        if std::env::var_os("FAIRLINE_REGENERATE").is_some() {
            std::fs::write(&path, &names).expect("written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, names, "names.lua is stale: `make generate` renews it");
    }

    #[test]
    fn no_key_of_a_line_is_freed_while_redis_waits() {
        assert!(!LIBRARY.contains("call('DEL', keys"), "UNLINK frees a large key in the background");
    }

    /// The names after `prefix` in the library.
    fn used(prefix: &str) -> BTreeSet<&'static str> {
        LIBRARY
            .split(prefix)
            .skip(1)
            .map(|rest| rest.split(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap_or(rest))
            .collect()
    }

    #[test]
    fn the_library_uses_every_argument_and_reply_and_no_other() {
        // A list in braces has its own name first.
        let names = |functions: &[(&str, &'static [&'static str])]| -> BTreeSet<&'static str> {
            let first = |name: &&'static str| name.split('\'').nth(1).expect("a quoted name");
            functions.iter().flat_map(|(_, names)| names.iter()).map(first).collect()
        };
        assert_eq!(used("args."), names(CALLS), "arguments");
        let functions = |functions: &[(&'static str, &[&str])]| functions.iter().map(|(name, _)| *name).collect();
        assert_eq!(used("register('"), functions(CALLS), "functions");
        assert_eq!(used("REPLIES."), functions(REPLIES), "replies");
    }
}
