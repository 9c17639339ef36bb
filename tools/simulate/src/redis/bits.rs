//! Bitmaps: bit 0 is the most significant one of the first byte.

use super::{RedisProcess, RedisResult, Reply, Value, at, integer, is, syntax};

const BITS_MAX: i64 = 512 * 1024 * 1024 * 8;

fn bit_of(bytes: &[u8], bit: usize) -> bool {
    bytes.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
}

fn offset(text: &[u8]) -> Result<usize, String> {
    match integer(text) {
        Ok(offset) if (0..BITS_MAX).contains(&offset) => Ok(at(offset)),
        _ => Err("ERR bit offset is not an integer or out of range".to_owned()),
    }
}

/// The first and the last bit of a range as it was written, in bits or bytes; none if it is empty.
fn range(start: i64, stop: i64, in_bits: bool, bytes: usize) -> Option<(usize, usize)> {
    let unit = if in_bits { 1 } else { 8 };
    let total = i64::try_from(bytes * 8).unwrap_or(i64::MAX) / unit;
    let start = if start < 0 { (total + start).max(0) } else { start };
    let stop = if stop < 0 { (total + stop).max(0) } else { stop }.min(total - 1);
    (start <= stop).then(|| (at(start * unit), at(stop * unit + unit - 1)))
}

fn unit(text: &[u8]) -> Result<bool, String> {
    if is(text, "BIT") {
        Ok(true)
    } else if is(text, "BYTE") {
        Ok(false)
    } else {
        syntax()
    }
}

impl RedisProcess {
    pub(super) fn bits(&mut self, name: &str, args: &[&[u8]]) -> RedisResult {
        match name {
            "SETBIT" => {
                let bit = offset(args[1])?;
                let on = match args[2] {
                    b"0" => false,
                    b"1" => true,
                    _ => return Err("ERR bit is not an integer or out of range".to_owned()),
                };
                self.bytes(args[0])?;
                let bytes = self.bytes_mut(args[0])?;
                let before = bit_of(bytes, bit);
                if bytes.len() <= bit / 8 {
                    bytes.resize(bit / 8 + 1, 0);
                }
                let mask = 0x80 >> (bit % 8);
                if on {
                    bytes[bit / 8] |= mask
                } else {
                    bytes[bit / 8] &= !mask
                }
                Ok(Reply::Int(before.into()))
            }
            "GETBIT" => {
                let bit = offset(args[1])?;
                Ok(Reply::Int(bit_of(self.bytes(args[0])?.unwrap_or_default(), bit).into()))
            }
            "BITCOUNT" => self.bitcount(args),
            "BITPOS" => self.bitpos(args),
            _ => self.bitop(args),
        }
    }

    fn bitcount(&self, args: &[&[u8]]) -> RedisResult {
        let Some(bytes) = self.bytes(args[0])? else { return Ok(Reply::Int(0)) };
        let (start, stop, in_bits) = match args {
            [_] => (0, -1, false),
            [_, start, stop] => (integer(start)?, integer(stop)?, false),
            [_, start, stop, word] => (integer(start)?, integer(stop)?, unit(word)?),
            _ => return syntax(),
        };
        if start < 0 && stop < 0 && start > stop {
            return Ok(Reply::Int(0));
        }
        let Some((first, last)) = range(start, stop, in_bits, bytes.len()) else { return Ok(Reply::Int(0)) };
        let (from, to) = (first / 8, last / 8);
        let mut count = bytes[from..=to].iter().map(|byte| byte.count_ones()).sum::<u32>();
        count -= (bytes[from] & !(0xff_u8 >> (first % 8))).count_ones();
        count -= (bytes[to] & !(0xff_u8 << (7 - last % 8))).count_ones();
        Ok(Reply::Int(count.into()))
    }

    fn bitpos(&self, args: &[&[u8]]) -> RedisResult {
        let wanted = integer(args[1])?;
        if wanted != 0 && wanted != 1 {
            return Err("ERR The bit argument must be 1 or 0.".to_owned());
        }
        let Some(bytes) = self.bytes(args[0])? else { return Ok(Reply::Int(-wanted)) };
        let (start, stop, in_bits) = match args {
            [_, _] => (0, None, false),
            [_, _, start] => (integer(start)?, None, false),
            [_, _, start, stop] => (integer(start)?, Some(integer(stop)?), false),
            [_, _, start, stop, word] => {
                let start = integer(start)?;
                let in_bits = unit(word)?;
                (start, Some(integer(stop)?), in_bits)
            }
            _ => return syntax(),
        };
        let Some((first, last)) = range(start, stop.unwrap_or(-1), in_bits, bytes.len()) else {
            return Ok(Reply::Int(-1));
        };
        let mut bit = first;
        while bit <= last {
            // Whole bytes that can't have it are passed over.
            let skip = if wanted == 1 { 0 } else { 0xff };
            if bit % 8 == 0 && bit + 7 <= last && bytes[bit / 8] == skip {
                bit += 8;
                continue;
            }
            if i64::from(bit_of(bytes, bit)) == wanted {
                return Ok(Reply::count(bit));
            }
            bit += 1;
        }
        // Without an end the string counts as if zeros followed it.
        Ok(if wanted == 0 && stop.is_none() { Reply::count(last + 1) } else { Reply::Int(-1) })
    }

    fn bitop(&mut self, args: &[&[u8]]) -> RedisResult {
        let (op, target, sources) = (args[0], args[1], &args[2..]);
        let mut parts = Vec::with_capacity(sources.len());
        let combine: fn(u8, u8) -> u8 = match op {
            _ if is(op, "OR") => |a, b| a | b,
            _ if is(op, "AND") => |a, b| a & b,
            _ if is(op, "XOR") => |a, b| a ^ b,
            _ => return syntax(),
        };
        for source in sources {
            parts.push(self.bytes(source)?.unwrap_or_default());
        }
        let length = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        let byte = |part: &[u8], at: usize| part.get(at).copied().unwrap_or(0);
        let result: Vec<u8> = (0..length)
            .map(|at| parts[1..].iter().fold(byte(parts[0], at), |sum, part| combine(sum, byte(part, at))))
            .collect();
        self.wrote = true;
        if result.is_empty() {
            self.keys.remove(target);
        } else {
            self.keys.insert(target.to_vec(), super::KeyEntry { value: Value::Text(result), expires_ms: None });
        }
        Ok(Reply::count(length))
    }
}
