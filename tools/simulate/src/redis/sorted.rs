//! Sorted sets: by score, members of one score by their bytes.

use std::collections::{BTreeSet, HashMap};

use super::{RedisProcess, RedisResult, Reply, Value, at, indexes, integer, is, syntax, wrong_type};

/// A score that can be ordered: never NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score(f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // 0 and -0 are one score, unlike in `total_cmp`.
        self.0.partial_cmp(&other.0).unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// A sorted set.
#[derive(Debug, Clone, Default)]
pub struct Sorted {
    scores: HashMap<Vec<u8>, f64>,
    order: BTreeSet<(Score, Vec<u8>)>,
}

impl Sorted {
    fn insert(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        self.scores.insert(member.to_vec(), score);
        self.order.insert((Score(score), member.to_vec()));
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        self.order.remove(&(Score(score), member.to_vec()))
    }
}

fn score(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let known = text.trim_start_matches(['+', '-']);
    let plain = !known.is_empty() && known.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let infinite = known.eq_ignore_ascii_case("inf") || known.eq_ignore_ascii_case("infinity");
    (plain || infinite).then(|| text.parse().ok()).flatten()
}

/// An end of a range of scores.
#[derive(Clone, Copy)]
struct RangeEnd {
    score: f64,
    excluded: bool,
}

fn end(text: &[u8]) -> Result<RangeEnd, String> {
    let (excluded, number) = match text {
        [b'(', number @ ..] => (true, number),
        number => (false, number),
    };
    match score(number) {
        // As `strtod` reads it.
        None if number.is_empty() => Ok(RangeEnd { score: 0.0, excluded }),
        Some(score) => Ok(RangeEnd { score, excluded }),
        None => Err("ERR min or max is not a float".to_owned()),
    }
}

fn above(score: f64, end: RangeEnd) -> bool {
    if end.excluded { score > end.score } else { score >= end.score }
}

fn below(score: f64, end: RangeEnd) -> bool {
    if end.excluded { score < end.score } else { score <= end.score }
}

pub(super) fn written(score: f64) -> String {
    if score.is_infinite() {
        return if score > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    format!("{score}")
}

/// The options of a range.
#[derive(Default)]
struct Options {
    by_score: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

fn options(words: &[&[u8]], ranges: bool) -> Result<Options, String> {
    let mut options = Options { by_score: !ranges, ..Options::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if is(word, "WITHSCORES") {
            options.with_scores = true;
        } else if is(word, "BYSCORE") && ranges {
            options.by_score = true;
        } else if is(word, "LIMIT") && words.len() >= 2 {
            let mut next = || integer(words.next().copied().unwrap_or_default());
            options.limit = Some((next()?, next()?));
        } else {
            return syntax();
        }
    }
    if options.limit.is_some() && !options.by_score {
        return Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX".to_owned());
    }
    Ok(options)
}

impl RedisProcess {
    fn set(&self, key: &[u8]) -> Result<Option<&Sorted>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Sorted(set)) => Ok(Some(set)),
            Some(_) => wrong_type(),
        }
    }

    fn set_mut(&mut self, key: &[u8]) -> Result<&mut Sorted, String> {
        match self.value_or(key, || Value::Sorted(Sorted::default())) {
            Value::Sorted(set) => Ok(set),
            _ => wrong_type(),
        }
    }

    pub(super) fn sorted(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        let key = args[0];
        match name {
            "ZADD" => self.zadd(args),
            "ZCARD" => Ok(Reply::count(self.set(key)?.map_or(0, |set| set.order.len()))),
            "ZSCORE" => {
                let score = self.set(key)?.and_then(|set| set.scores.get(args[1]));
                Ok(score.map_or(Reply::Nil, |score| Reply::text(written(*score))))
            }
            "ZRANK" => {
                let rank = self.set(key)?.and_then(|set| set.order.iter().position(|(_, member)| member == args[1]));
                Ok(rank.map_or(Reply::Nil, Reply::count))
            }
            "ZREM" => self.remove_members(key, |_| args[1..].iter().map(|member| member.to_vec()).collect()),
            "ZREMRANGEBYSCORE" => {
                let (min, max) = (end(args[1])?, end(args[2])?);
                let members = |set: &Sorted| -> Vec<Vec<u8>> {
                    let within = set.order.iter().filter(|(score, _)| above(score.0, min) && below(score.0, max));
                    within.map(|(_, member)| member.clone()).collect()
                };
                self.remove_members(key, members)
            }
            "ZCOUNT" => {
                let (min, max) = (end(args[1])?, end(args[2])?);
                let scores = self.set(key)?.into_iter().flat_map(|set| &set.order).map(|(score, _)| score.0);
                Ok(Reply::count(scores.filter(|&score| above(score, min) && below(score, max)).count()))
            }
            _ => self.zrange(args, name == "ZRANGE"),
        }
    }

    fn remove_members(&mut self, key: &[u8], members: impl FnOnce(&Sorted) -> Vec<Vec<u8>>) -> RedisResult {
        let Some(set) = self.set(key)? else { return Ok(Reply::Int(0)) };
        let members = members(set);
        let set = self.set_mut(key)?;
        let removed = members.iter().filter(|member| set.remove(member)).count();
        if set.order.is_empty() {
            self.keys.remove(key);
        }
        Ok(Reply::count(removed))
    }

    fn zadd(&mut self, args: &[&[u8]]) -> RedisResult {
        let (only_new, pairs) = if is(args[1], "NX") { (true, &args[2..]) } else { (false, &args[1..]) };
        let (pairs, rest) = pairs.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return syntax();
        }
        let mut members = Vec::with_capacity(pairs.len());
        for [number, member] in pairs {
            members.push((score(number).ok_or("ERR value is not a valid float")?, *member));
        }
        self.set(args[0])?;
        let set = self.set_mut(args[0])?;
        let mut added = 0;
        for (score, member) in members {
            let known = set.scores.contains_key(member);
            added += usize::from(!known);
            if !known || !only_new {
                set.insert(member, score);
            }
        }
        Ok(Reply::count(added))
    }

    fn zrange(&self, args: &[&[u8]], ranges: bool) -> RedisResult {
        let options = options(&args[3..], ranges)?;
        let chosen: Vec<(f64, &Vec<u8>)> = if options.by_score {
            let (min, max) = (end(args[1])?, end(args[2])?);
            let all = self.set(args[0])?.into_iter().flat_map(|set| &set.order);
            let within = all.map(|(score, member)| (score.0, member)).skip_while(|(score, _)| !above(*score, min));
            let within = within.take_while(|(score, _)| below(*score, max));
            match options.limit {
                None => within.collect(),
                Some((offset, _)) if offset < 0 => Vec::new(),
                Some((offset, count)) if count < 0 => within.skip(at(offset)).collect(),
                Some((offset, count)) => within.skip(at(offset)).take(at(count)).collect(),
            }
        } else {
            let (start, stop) = (integer(args[1])?, integer(args[2])?);
            let Some(set) = self.set(args[0])? else { return Ok(Reply::Array(Vec::new())) };
            let range = indexes(start, stop, set.order.len());
            set.order.iter().skip(range.start).take(range.len()).map(|(score, member)| (score.0, member)).collect()
        };
        let mut replies = Vec::with_capacity(chosen.len() * 2);
        for (score, member) in chosen {
            replies.push(Reply::text(member));
            if options.with_scores {
                replies.push(Reply::text(written(score)));
            }
        }
        Ok(Reply::Array(replies))
    }
}
