//! Streams.

use std::{collections::BTreeMap, ops::Bound};

use super::{RedisProcess, RedisResult, Reply, Value, at, integer, is, syntax, wrong_type};

type Id = (u64, u64);

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    entries: BTreeMap<Id, Vec<Vec<u8>>>,
    last: Id,
}

fn invalid<T>() -> Result<T, String> {
    Err("ERR Invalid stream ID specified as stream command argument".to_owned())
}

/// Reads an id; one without a sequence number has this one.
fn id(text: &[u8], missing: u64) -> Result<Id, String> {
    let Ok(text) = std::str::from_utf8(text) else { return invalid() };
    let number = |text: &str| match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => Ok(number),
        _ => invalid(),
    };
    match text.split_once('-') {
        Some((ms, seq)) => Ok((number(ms)?, number(seq)?)),
        None => Ok((number(text)?, missing)),
    }
}

fn end(text: &[u8], missing: u64) -> Result<Bound<Id>, String> {
    match text {
        b"-" => Ok(Bound::Included((0, 0))),
        b"+" => Ok(Bound::Included((u64::MAX, u64::MAX))),
        [b'(', rest @ ..] => Ok(Bound::Excluded(id(rest, missing)?)),
        _ => Ok(Bound::Included(id(text, missing)?)),
    }
}

/// How much of a stream is to be kept.
enum Kept {
    Length(usize),
    /// Redis may keep more of them than this.
    About,
    From(Id),
}

/// Reads `MAXLEN|MINID [=|~] threshold` at the start of some words. Returns how many words that
/// were.
fn kept(words: &[&[u8]]) -> Result<(Kept, usize), String> {
    // The last word is the threshold, whatever it looks like.
    let (exact, mark) = match words.get(1) {
        Some(&b"=") if words.len() > 2 => (true, 1),
        Some(&b"~") if words.len() > 2 => (false, 1),
        _ => (true, 0),
    };
    let Some(threshold) = words.get(1 + mark) else { return syntax() };
    let kept = if is(words[0], "MAXLEN") {
        match integer(threshold)? {
            length if length < 0 => return Err("ERR The MAXLEN argument must be >= 0.".to_owned()),
            length => Kept::Length(at(length)),
        }
    } else {
        Kept::From(id(threshold, 0)?)
    };
    Ok((if exact { kept } else { Kept::About }, 2 + mark))
}

impl Stream {
    fn trim(&mut self, kept: &Kept) -> usize {
        let before = self.entries.len();
        match kept {
            Kept::About => {}
            Kept::From(first) => self.entries = self.entries.split_off(first),
            Kept::Length(length) => {
                while self.entries.len() > *length {
                    self.entries.pop_first();
                }
            }
        }
        before - self.entries.len()
    }
}

impl RedisProcess {
    fn stream(&self, key: &[u8]) -> Result<Option<&Stream>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(_) => wrong_type(),
        }
    }

    pub(super) fn streams(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        match name {
            "XADD" => self.xadd(args),
            "XLEN" => Ok(Reply::count(self.stream(args[0])?.map_or(0, |stream| stream.entries.len()))),
            "XTRIM" => {
                if !is(args[1], "MAXLEN") && !is(args[1], "MINID") {
                    return syntax();
                }
                let (kept, words) = kept(&args[1..])?;
                if args.len() > 1 + words {
                    return syntax();
                }
                self.stream(args[0])?;
                match self.value_mut(args[0]) {
                    Some(Value::Stream(stream)) => Ok(Reply::count(stream.trim(&kept))),
                    _ => Ok(Reply::Int(0)),
                }
            }
            _ => self.xrange(args, name == "XREVRANGE"),
        }
    }

    fn xadd(&mut self, args: &[&[u8]]) -> RedisResult {
        let mut rest = &args[1..];
        let mut keep = None;
        if is(rest[0], "MAXLEN") || is(rest[0], "MINID") {
            let (kept, words) = kept(rest)?;
            (keep, rest) = (Some(kept), &rest[words..]);
        }
        let Some((new, fields)) = rest.split_first() else { return syntax() };
        let new = id(new, 0)?;
        if fields.is_empty() || fields.len() % 2 == 1 {
            return Err("ERR wrong number of arguments for 'xadd' command".to_owned());
        }
        if new == (0, 0) {
            return Err("ERR The ID specified in XADD must be greater than 0-0".to_owned());
        }
        self.stream(args[0])?;
        let Value::Stream(stream) = self.value_or(args[0], || Value::Stream(Stream::default())) else {
            return wrong_type();
        };
        if stream.last == (u64::MAX, u64::MAX) {
            return Err("ERR The stream has exhausted the last possible ID, unable to add more items".to_owned());
        }
        if new <= stream.last {
            return Err("ERR The ID specified in XADD is equal or smaller than the target stream top item".to_owned());
        }
        stream.last = new;
        stream.entries.insert(new, fields.iter().map(|field| field.to_vec()).collect());
        if let Some(kept) = keep {
            stream.trim(&kept);
        }
        Ok(Reply::text(format!("{}-{}", new.0, new.1)))
    }

    fn xrange(&self, args: &[&[u8]], backwards: bool) -> RedisResult {
        let (start, stop) = if backwards { (args[2], args[1]) } else { (args[1], args[2]) };
        let start = end(start, 0)?;
        if start == Bound::Excluded((u64::MAX, u64::MAX)) {
            return Err("ERR invalid start ID for the interval".to_owned());
        }
        let stop = end(stop, u64::MAX)?;
        if stop == Bound::Excluded((0, 0)) {
            return Err("ERR invalid end ID for the interval".to_owned());
        }
        let count = match &args[3..] {
            [] => usize::MAX,
            [word, count] if is(word, "COUNT") => at(integer(count)?.max(0)),
            _ => return syntax(),
        };
        let Some(stream) = self.stream(args[0])? else { return Ok(Reply::Array(Vec::new())) };
        let (first, last) = match (start, stop) {
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => (a, b),
            _ => return invalid(),
        };
        let both_excluded = matches!((start, stop), (Bound::Excluded(_), Bound::Excluded(_)));
        if first > last || (first == last && both_excluded) || count == 0 {
            return Ok(if count == 0 { Reply::Nil } else { Reply::Array(Vec::new()) });
        }
        let within = stream.entries.range((start, stop));
        let entry = |(id, fields): (&Id, &Vec<Vec<u8>>)| {
            let fields = fields.iter().map(Reply::text).collect();
            Reply::Array(vec![Reply::text(format!("{}-{}", id.0, id.1)), Reply::Array(fields)])
        };
        let entries = if backwards {
            within.rev().take(count).map(entry).collect()
        } else {
            within.take(count).map(entry).collect()
        };
        Ok(Reply::Array(entries))
    }
}
