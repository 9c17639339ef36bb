//! Hashes.

use std::collections::BTreeMap;

use super::{RedisProcess, RedisResult, Reply, Value, integer, wrong_type};

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

impl RedisProcess {
    fn fields(&self, key: &[u8]) -> Result<Option<&Fields>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Hash(fields)) => Ok(Some(fields)),
            Some(_) => wrong_type(),
        }
    }

    fn fields_mut(&mut self, key: &[u8]) -> Result<&mut Fields, String> {
        match self.value_or(key, || Value::Hash(Fields::new())) {
            Value::Hash(fields) => Ok(fields),
            _ => wrong_type(),
        }
    }

    pub(super) fn hashes(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        let key = args[0];
        let reply = |value: Option<&Vec<u8>>| value.map_or(Reply::Nil, Reply::text);
        match name {
            "HGET" => Ok(reply(self.fields(key)?.and_then(|fields| fields.get(args[1])))),
            "HMGET" => {
                let fields = self.fields(key)?;
                Ok(Reply::Array(args[1..].iter().map(|field| reply(fields.and_then(|all| all.get(*field)))).collect()))
            }
            "HLEN" => Ok(Reply::count(self.fields(key)?.map_or(0, BTreeMap::len))),
            "HEXISTS" => Ok(Reply::Int(self.fields(key)?.is_some_and(|fields| fields.contains_key(args[1])).into())),
            "HGETALL" => {
                let all = self.fields(key)?.into_iter().flatten();
                Ok(Reply::Array(all.flat_map(|(field, value)| [Reply::text(field), Reply::text(value)]).collect()))
            }
            "HSET" => {
                let (pairs, rest) = args[1..].as_chunks::<2>();
                if !rest.is_empty() {
                    return Err("ERR wrong number of arguments for 'hset' command".to_owned());
                }
                let fields = self.fields_mut(key)?;
                let new = pairs.iter().filter(|pair| fields.insert(pair[0].to_vec(), pair[1].to_vec()).is_none());
                Ok(Reply::count(new.count()))
            }
            "HSETNX" => {
                let fields = self.fields_mut(key)?;
                let new = !fields.contains_key(args[1]);
                if new {
                    fields.insert(args[1].to_vec(), args[2].to_vec());
                }
                Ok(Reply::Int(new.into()))
            }
            "HDEL" => {
                if self.fields(key)?.is_none() {
                    return Ok(Reply::Int(0));
                }
                let fields = self.fields_mut(key)?;
                let removed = args[1..].iter().filter(|field| fields.remove(**field).is_some()).count();
                if fields.is_empty() {
                    self.keys.remove(key);
                }
                Ok(Reply::count(removed))
            }
            _ => {
                let by = integer(args[2])?;
                let held = self.fields(key)?.and_then(|fields| fields.get(args[1]));
                let held = held.map_or(Ok(0), |held| integer(held));
                let held = held.map_err(|_| "ERR hash value is not an integer".to_owned())?;
                let sum = held.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
                self.fields_mut(key)?.insert(args[1].to_vec(), sum.to_string().into_bytes());
                Ok(Reply::Int(sum))
            }
        }
    }
}
