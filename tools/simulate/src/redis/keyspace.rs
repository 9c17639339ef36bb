//! Keys whatever they hold.

use super::{RedisProcess, RedisResult, Reply, Value, integer, is};

impl RedisProcess {
    pub(super) fn keyspace(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        match name {
            "EXISTS" => Ok(Reply::count(args.iter().filter(|key| self.value(key).is_some()).count())),
            "DEL" | "UNLINK" => {
                let mut removed = 0;
                for key in args {
                    self.expire(key);
                    removed += usize::from(self.keys.remove(*key).is_some());
                }
                self.wrote = true;
                Ok(Reply::count(removed))
            }
            "TYPE" => Ok(Reply::Status(match self.value(args[0]) {
                None => "none",
                Some(Value::Text(_)) => "string",
                Some(Value::Hash(_)) => "hash",
                Some(Value::Sorted(_)) => "zset",
                Some(Value::Stream(_)) => "stream",
            })),
            "PTTL" => Ok(Reply::Int(match self.value(args[0]) {
                None => -2,
                Some(_) => self.keys[args[0]].expires_ms.map_or(-1, |at| at - self.now_ms()),
            })),
            "PERSIST" => {
                self.expire(args[0]);
                self.wrote = true;
                let kept = self.keys.get_mut(args[0]).is_some_and(|entry| entry.expires_ms.take().is_some());
                Ok(Reply::Int(kept.into()))
            }
            _ => {
                let only_if_kept_for_ever = args.get(2).is_some_and(|option| is(option, "NX"));
                if let Some(option) = args.iter().skip(2).find(|option| !is(option, "NX")) {
                    return Err(format!("ERR Unsupported option {}", String::from_utf8_lossy(option)));
                }
                let ms = integer(args[1])?;
                self.expire(args[0]);
                let expires_ms = if name == "PEXPIREAT" { ms } else { self.now_ms() + ms };
                let Some(entry) = self.keys.get_mut(args[0]) else { return Ok(Reply::Int(0)) };
                if only_if_kept_for_ever && entry.expires_ms.is_some() {
                    return Ok(Reply::Int(0));
                }
                entry.expires_ms = Some(expires_ms);
                self.wrote = true;
                self.expire(args[0]);
                Ok(Reply::Int(1))
            }
        }
    }
}
