//! Redis queries of a measurement: statistics only, no data of the line that a service should read.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::Failure;

/// Timeout of a reply.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct RedisConnection {
    stream: BufReader<TcpStream>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RedisReply {
    Nil,
    Number(i64),
    Text(String),
    List(Vec<RedisReply>),
}

impl RedisReply {
    fn text(&self) -> &str {
        if let RedisReply::Text(text) = self { text } else { "" }
    }
}

impl RedisConnection {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one command and returns its reply. Bytes that are not text become replacement
    /// characters.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<RedisReply, Failure> {
        self.stream.get_mut().write_all(&command(words))?;
        self.reply()
    }

    fn reply(&mut self) -> Result<RedisReply, Failure> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let unexpected = || Failure::new(format!("Redis returned {line:?}"));
        let rest = line.trim_end().get(1..).ok_or_else(unexpected)?;
        let number = || rest.parse::<i64>().map_err(|_| unexpected());
        Ok(match line.as_bytes()[0] {
            b'+' => RedisReply::Text(rest.to_owned()),
            b':' => RedisReply::Number(number()?),
            b'$' => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    RedisReply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned())
                }
                Err(_) => RedisReply::Nil,
            },
            b'*' => RedisReply::List((0..number()?).map(|_| self.reply()).collect::<Result<_, _>>()?),
            _ => return Err(unexpected()),
        })
    }

    /// A section of INFO.
    pub(crate) fn info(&mut self, section: &str) -> Result<HashMap<String, String>, Failure> {
        let reply = self.ask(&["INFO", section])?;
        let pairs = reply.text().lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Memory of all data structures and buffers, in bytes.
    pub(crate) fn used_bytes(&mut self) -> Result<u64, Failure> {
        let memory = self.info("memory")?;
        memory.get("used_memory").and_then(|used| used.parse().ok()).ok_or_else(|| Failure::new("INFO memory"))
    }

    /// Memory of every key whose name contains `part`, in bytes.
    pub(crate) fn bytes_of_keys(&mut self, part: &str) -> Result<u64, Failure> {
        let (mut cursor, mut bytes) = ("0".to_owned(), 0);
        loop {
            let RedisReply::List(found) =
                self.ask(&["SCAN", &cursor, "MATCH", &format!("*{part}*"), "COUNT", "1000"])?
            else {
                return Err(Failure::new("SCAN returned no list"));
            };
            if let Some(RedisReply::List(keys)) = found.get(1) {
                for key in keys {
                    if let RedisReply::Number(used) = self.ask(&["MEMORY", "USAGE", key.text(), "SAMPLES", "0"])? {
                        bytes += u64::try_from(used).unwrap_or(0);
                    }
                }
            }
            cursor = found.first().map(|cursor| cursor.text().to_owned()).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(bytes);
            }
        }
    }

    /// A number in a hash; 0 if it is missing.
    pub(crate) fn number_in(&mut self, key: &str, field: &str) -> Result<u64, Failure> {
        Ok(self.ask(&["HGET", key, field])?.text().parse().unwrap_or(0))
    }
}

/// A command in the wire format.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let packed: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{packed}", words.len()).into_bytes()
}
