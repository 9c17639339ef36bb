//! Random commands over a small key space, errors included.

use fairline_simulate::{
    redis::{RedisProcess, Reply},
    rng::Rng,
};

use crate::real::Real;

const SEQUENCES: u64 = 300;
const COMMANDS: usize = 60;

type Words = Vec<Vec<u8>>;

/// A key of each type, mostly.
struct TestKeys {
    t: Vec<u8>,
    h: Vec<u8>,
    z: Vec<u8>,
    x: Vec<u8>,
}

struct Maker {
    rng: Rng,
    prefix: String,
}

fn name(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

impl Maker {
    fn pick(&mut self, words: &[&str]) -> Vec<u8> {
        words[self.rng.index(words.len())].as_bytes().to_vec()
    }

    /// Mostly a key that holds this type; now and then one that holds another.
    fn key(&mut self, kind: &str) -> Vec<u8> {
        let kind = if self.rng.once_in(12) { self.pick(&["t", "h", "z", "x"]) } else { kind.as_bytes().to_vec() };
        let number = self.rng.below(2);
        format!("{{{}}}{}{number}", self.prefix, String::from_utf8_lossy(&kind)).into_bytes()
    }

    fn number(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.pick(&["x", "", "01", "+1", "1.5", " 1", "9223372036854775808", "-0"]),
            1..=4 => format!("-{}", 1 + self.rng.below(40)).into_bytes(),
            _ => self.rng.below(40).to_string().into_bytes(),
        }
    }

    fn score(&mut self) -> Vec<u8> {
        match self.rng.below(16) {
            0 => self.pick(&["x", "", "inf", "-inf", "+inf", "1e3", "0.5", "-2.25", "nan"]),
            _ => self.rng.below(6).to_string().into_bytes(),
        }
    }

    fn end_of_scores(&mut self) -> Vec<u8> {
        let mut end = if self.rng.once_in(4) { b"(".to_vec() } else { Vec::new() };
        end.extend(if self.rng.once_in(5) { self.pick(&["-inf", "+inf"]) } else { self.score() });
        end
    }

    fn id(&mut self) -> Vec<u8> {
        match self.rng.below(16) {
            0 => self.pick(&["x", "0-0", "-1", "1-", "1-x", "1-1-1", "18446744073709551615-18446744073709551615"]),
            1..=5 => self.rng.below(30).to_string().into_bytes(),
            _ => format!("{}-{}", self.rng.below(30), self.rng.below(2)).into_bytes(),
        }
    }

    fn end_of_ids(&mut self) -> Vec<u8> {
        match self.rng.below(6) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 => [b"(".to_vec(), self.id()].concat(),
            _ => self.id(),
        }
    }

    fn member(&mut self) -> Vec<u8> {
        self.pick(&["a", "b", "c", "aa", "\u{e9}", "B"])
    }

    fn words(&mut self, words: &[&str]) -> Words {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn with(&mut self, one_in: u64, words: &[&str], more: Words) -> Words {
        if self.rng.once_in(one_in) { [self.words(words), more].concat() } else { Vec::new() }
    }

    fn command(&mut self) -> Words {
        let mut command = self.well_formed();
        if self.rng.once_in(40) {
            command.pop();
        } else if self.rng.once_in(60) {
            command.push(b"x".to_vec());
        }
        command
    }

    fn well_formed(&mut self) -> Words {
        let keys = TestKeys { t: self.key("t"), h: self.key("h"), z: self.key("z"), x: self.key("x") };
        match self.rng.below(47) {
            command @ 0..=17 => self.of_strings(command, keys.t),
            command @ 18..=27 => self.of_hashes(command, keys.h),
            command @ (28..=32 | 34..=38) => self.of_sorted_sets(command, keys.z),
            command @ 39..=43 => self.of_streams(command, keys.x),
            command => self.of_any_key(command, keys),
        }
    }

    fn of_strings(&mut self, command: u64, t: Vec<u8>) -> Words {
        match command {
            0 => vec![name("GET"), t],
            1 => [
                vec![name("SET"), t, self.pick(&["", "abc", "\u{0}\u{1}", "12"])],
                self.with(4, &["PX", "50000"], vec![]),
            ]
            .concat(),
            2 => vec![name("STRLEN"), t],
            3 => vec![name("GETRANGE"), t, self.number(), self.number()],
            4 => vec![name("SETRANGE"), t, self.number(), self.pick(&["", "x", "\u{7f}\u{7f}", "abcdef"])],
            5..=7 => vec![name("SETBIT"), t, self.number(), self.pick(&["0", "1", "1", "1", "2"])],
            8 => vec![name("GETBIT"), t, self.number()],
            9 => vec![name("BITCOUNT"), t],
            10 | 11 => {
                let unit = self.with(2, &["BIT"], vec![]);
                [vec![name("BITCOUNT"), t, self.number(), self.number()], unit].concat()
            }
            12 => vec![name("BITPOS"), t, self.pick(&["0", "1", "2", "x"])],
            13 => vec![name("BITPOS"), t, self.pick(&["0", "1"]), self.number()],
            14..=16 => {
                let unit =
                    if self.rng.once_in(3) { vec![] } else { vec![self.pick(&["BIT", "BIT", "BYTE", "bit", "x"])] };
                [vec![name("BITPOS"), t, self.pick(&["0", "1"]), self.number(), self.number()], unit].concat()
            }
            _ => {
                let (op, target) = (self.pick(&["OR", "AND", "XOR"]), self.key("t"));
                let other = self.with(2, &[], vec![t.clone()]);
                [vec![name("BITOP"), op, target, t], other].concat()
            }
        }
    }

    fn of_hashes(&mut self, command: u64, h: Vec<u8>) -> Words {
        match command {
            18 => vec![name("HGET"), h, self.member()],
            19 | 20 => vec![name("HSET"), h, self.member(), self.number(), self.member(), self.number()],
            21 => vec![name("HDEL"), h, self.member(), self.member()],
            22 => vec![name("HINCRBY"), h, self.member(), self.number()],
            23 => vec![name("HSETNX"), h, self.member(), self.number()],
            24 => vec![name("HEXISTS"), h, self.member()],
            25 => vec![name("HGETALL"), h],
            26 => vec![name("HMGET"), h, self.member(), self.member()],
            _ => vec![name("HLEN"), h],
        }
    }

    fn of_sorted_sets(&mut self, command: u64, z: Vec<u8>) -> Words {
        match command {
            28..=30 => {
                let nx = self.with(5, &["NX"], vec![]);
                let pair = vec![self.score(), self.member()];
                [vec![name("ZADD"), z], nx, vec![self.score(), self.member()], pair].concat()
            }
            31 => vec![name("ZREM"), z, self.member()],
            32 => vec![name("ZSCORE"), z, self.member()],
            34 => {
                [vec![name("ZRANGE"), z, self.number(), self.number()], self.with(2, &["WITHSCORES"], vec![])].concat()
            }
            35 | 36 => {
                let limit = vec![self.number(), self.number()];
                let limit = self.with(2, &["LIMIT"], limit);
                let scores = self.with(2, &["WITHSCORES"], vec![]);
                let ends = vec![self.end_of_scores(), self.end_of_scores(), name("BYSCORE")];
                [vec![name("ZRANGE"), z], ends, limit, scores].concat()
            }
            37 => {
                let limit = vec![self.number(), self.number()];
                let limit = self.with(2, &["LIMIT"], limit);
                let scores = self.with(2, &["WITHSCORES"], vec![]);
                [vec![name("ZRANGEBYSCORE"), z, self.end_of_scores(), self.end_of_scores()], scores, limit].concat()
            }
            _ => vec![self.pick(&["ZREMRANGEBYSCORE", "ZCOUNT"]), z, self.end_of_scores(), self.end_of_scores()],
        }
    }

    fn of_streams(&mut self, command: u64, x: Vec<u8>) -> Words {
        match command {
            39 | 40 => {
                let trim = vec![self.rng.below(20).to_string().into_bytes()];
                let trim = self.with(8, &["MINID"], trim);
                [vec![name("XADD"), x], trim, vec![self.id(), self.member(), self.number()]].concat()
            }
            41 | 42 => {
                let count = vec![self.number()];
                let count = self.with(2, &["COUNT"], count);
                [vec![self.pick(&["XRANGE", "XREVRANGE"]), x, self.end_of_ids(), self.end_of_ids()], count].concat()
            }
            _ => {
                let exact = self.with(3, &["="], vec![]);
                let length = self.rng.once_in(3);
                let threshold = if length { self.number() } else { self.id() };
                [vec![name("XTRIM"), x, name(if length { "MAXLEN" } else { "MINID" })], exact, vec![threshold]].concat()
            }
        }
    }

    fn of_any_key(&mut self, command: u64, TestKeys { t, h, z, x }: TestKeys) -> Words {
        match command {
            33 => vec![self.pick(&["ZCARD", "XLEN"]), if self.rng.once_in(2) { z } else { x }],
            44 => {
                let keys = [t, h, z, x];
                let key = keys[self.rng.index(4)].clone();
                let name = self.pick(&["DEL", "UNLINK", "EXISTS", "TYPE", "TYPE", "PERSIST"]);
                vec![name, key]
            }
            45 => {
                // A moment in the past or far in the future: the model has a clock of its own.
                let nx = self.with(2, &["NX"], vec![]);
                [vec![name("PEXPIREAT"), z, self.pick(&["9000000000000", "0", "-1", "x"])], nx].concat()
            }
            _ => {
                let nx = self.with(3, &["nx"], vec![]);
                [vec![name("PEXPIRE"), z, self.pick(&["50000", "0", "-1", "x"])], nx].concat()
            }
        }
    }
}

fn shown(words: &Words) -> String {
    words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// Fields have no order.
fn ordered(command: &Words, answer: Result<Reply, String>) -> Result<Reply, String> {
    match answer {
        Ok(Reply::Array(fields)) if command[0] == b"HGETALL" => {
            let mut pairs: Vec<_> = fields.chunks(2).map(|pair| format!("{pair:?}")).collect();
            pairs.sort();
            Ok(Reply::Bulk(pairs.concat().into_bytes()))
        }
        Ok(Reply::Status(word)) if word != "OK" => Ok(Reply::Bulk(word.as_bytes().to_vec())),
        answer => answer,
    }
}

#[test]
fn every_command_answers_as_a_real_redis_does() {
    let mut real = Real::connect();
    let process = std::process::id();
    let (mut errors, mut done) = (0, 0);
    for seed in 0..SEQUENCES {
        let mut maker = Maker { rng: Rng::new(seed), prefix: format!("model-{process}-{seed}") };
        let mut model = RedisProcess::new("0");
        let mut before = Vec::new();
        for _ in 0..COMMANDS {
            let command = maker.command();
            let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            let theirs = ordered(&command, real.command(&args));
            let ours = ordered(&command, model.command(&args));
            before.push(shown(&command));
            errors += usize::from(theirs.is_err());
            done += 1;
            assert_eq!(ours, theirs, "seed {seed}, after\n{}", before.join("\n"));
        }
    }
    assert!(errors * 50 > done && errors * 2 < done, "{errors} of {done} commands failed: the mix tests too little");
}
