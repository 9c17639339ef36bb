//! Strings.

use super::{RedisProcess, RedisResult, Reply, Value, indexes, integer, is, syntax, wrong_type};

/// The longest string, as `proto-max-bulk-len` has it by default.
const LENGTH_MAX: i64 = 512 * 1024 * 1024;

impl RedisProcess {
    /// The bytes of a string, if the key exists.
    pub(super) fn bytes(&self, key: &[u8]) -> Result<Option<&[u8]>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Text(bytes)) => Ok(Some(bytes)),
            Some(_) => wrong_type(),
        }
    }

    /// The bytes of a string for a change, created if missing.
    pub(super) fn bytes_mut(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, String> {
        match self.value_or(key, || Value::Text(Vec::new())) {
            Value::Text(bytes) => Ok(bytes),
            _ => wrong_type(),
        }
    }

    pub(super) fn texts(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        match name {
            "GET" => Ok(self.bytes(args[0])?.map_or(Reply::Nil, Reply::text)),
            "STRLEN" => Ok(Reply::count(self.bytes(args[0])?.map_or(0, <[u8]>::len))),
            "SET" => {
                let expires_ms = match &args[2..] {
                    [] => None,
                    [px, ms] if is(px, "PX") => match integer(ms)? {
                        ms if ms <= 0 => return Err("ERR invalid expire time in 'set' command".to_owned()),
                        ms => Some(self.now_ms() + ms),
                    },
                    _ => return syntax(),
                };
                self.wrote = true;
                self.keys
                    .insert(args[0].to_vec(), super::KeyEntry { value: Value::Text(args[1].to_vec()), expires_ms });
                Ok(Reply::Status("OK"))
            }
            "GETRANGE" => {
                let (start, stop) = (integer(args[1])?, integer(args[2])?);
                let bytes = self.bytes(args[0])?.unwrap_or_default();
                if start < 0 && stop < 0 && start > stop {
                    return Ok(Reply::text(""));
                }
                // Unlike in lists, an end before the start of the string is its first byte.
                let stop = if stop < 0 { (stop + i64::try_from(bytes.len()).unwrap_or(i64::MAX)).max(0) } else { stop };
                Ok(Reply::text(&bytes[indexes(start, stop, bytes.len())]))
            }
            _ => {
                let offset = integer(args[1])?;
                if offset < 0 {
                    return Err("ERR offset is out of range".to_owned());
                }
                let part = args[2];
                if part.is_empty() {
                    return Ok(Reply::count(self.bytes(args[0])?.map_or(0, <[u8]>::len)));
                }
                self.bytes(args[0])?;
                let end = offset.saturating_add(i64::try_from(part.len()).unwrap_or(i64::MAX));
                if end > LENGTH_MAX {
                    return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".to_owned());
                }
                let (from, to) = (super::at(offset), super::at(end));
                let bytes = self.bytes_mut(args[0])?;
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(part);
                Ok(Reply::count(bytes.len()))
            }
        }
    }
}
