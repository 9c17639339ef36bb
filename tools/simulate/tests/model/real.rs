//! A real Redis, called without a client library that could hide a difference.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use fairline_private_servers::testing;
use fairline_simulate::redis::{RedisResult, Reply};

pub struct Real(BufReader<TcpStream>);

impl Real {
    pub fn connect() -> Self {
        let url = testing::redis_url();
        let address = url.rsplit(['/', '@']).next().expect("an address");
        let stream = TcpStream::connect(address).expect("a Redis");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut real = Self(BufReader::new(stream));
        if let Some((_, password)) = url.rsplit_once('@').and_then(|(before, _)| before.rsplit_once(':')) {
            let _ = real.command(&[b"AUTH", password.trim_start_matches("//").as_bytes()]);
        }
        real
    }

    pub fn command(&mut self, args: &[&[u8]]) -> RedisResult {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            bytes.extend(format!("${}\r\n", arg.len()).bytes());
            bytes.extend_from_slice(arg);
            bytes.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes).expect("sent");
        self.reply()
    }

    pub fn reply(&mut self) -> RedisResult {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().expect("a number");
        Ok(match kind {
            "+" if rest == "OK" => Reply::Status("OK"),
            "+" => Reply::Bulk(rest.as_bytes().to_vec()),
            "-" => return Err(rest.to_owned()),
            ":" => Reply::Int(number()),
            "$" | "*" if number() < 0 => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; usize::try_from(number()).expect("a length") + 2];
                self.0.read_exact(&mut bytes).expect("bytes");
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            "*" => Reply::Array((0..number()).map(|_| self.reply()).collect::<Result<_, _>>()?),
            _ => panic!("not RESP: {line}"),
        })
    }
}
