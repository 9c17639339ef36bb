//! The part of `cmsgpack` that packs lists of numbers and strings, byte for byte as Redis does.

use mlua::{Lua, Value};

fn unknown(what: &str) -> mlua::Error {
    mlua::Error::runtime(format!("{what} is not in the model of cmsgpack"))
}

/// Packs a value.
pub fn pack(bytes: &mut Vec<u8>, value: &Value) -> mlua::Result<()> {
    match value {
        Value::Integer(number) => pack_integer(bytes, *number),
        Value::Number(number) if number.fract() == 0.0 => pack_integer(bytes, *number as i64),
        Value::String(text) => {
            let text = text.as_bytes();
            match text.len() {
                length @ 0..32 => bytes.push(0xa0 | length as u8),
                length @ 32..256 => bytes.extend([0xd9, length as u8]),
                length @ 256..65_536 => {
                    bytes.push(0xda);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => return Err(unknown("a long string")),
            }
            bytes.extend_from_slice(&text);
        }
        Value::Table(table) => {
            match table.raw_len() {
                length @ 0..16 => bytes.push(0x90 | length as u8),
                length @ 16..65_536 => {
                    bytes.push(0xdc);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => return Err(unknown("a long list")),
            }
            for value in table.sequence_values::<Value>() {
                pack(bytes, &value?)?;
            }
        }
        _ => return Err(unknown("this type")),
    }
    Ok(())
}

fn pack_integer(bytes: &mut Vec<u8>, number: i64) {
    match number {
        0..128 => bytes.push(number as u8),
        128..256 => bytes.extend([0xcc, number as u8]),
        256..65_536 => {
            bytes.push(0xcd);
            bytes.extend((number as u16).to_be_bytes());
        }
        65_536..4_294_967_296 => {
            bytes.push(0xce);
            bytes.extend((number as u32).to_be_bytes());
        }
        -32..0 => bytes.push(number as u8),
        _ => {
            bytes.push(if number < 0 { 0xd3 } else { 0xcf });
            bytes.extend(number.to_be_bytes());
        }
    }
}

/// Unpacks a value. Returns it, and the bytes after it.
pub fn unpack<'b>(lua: &Lua, bytes: &'b [u8]) -> mlua::Result<(Value, &'b [u8])> {
    let short = || unknown("a part of a value");
    let (&kind, rest) = bytes.split_first().ok_or_else(short)?;
    let number = |count: usize| -> mlua::Result<(u64, &'b [u8])> {
        let (digits, rest) = rest.split_at_checked(count).ok_or_else(short)?;
        Ok((digits.iter().fold(0, |sum, &digit| sum << 8 | u64::from(digit)), rest))
    };
    let text = |length: u64, rest: &'b [u8]| -> mlua::Result<(Value, &'b [u8])> {
        let (text, rest) = rest.split_at_checked(length as usize).ok_or_else(short)?;
        Ok((Value::String(lua.create_string(text)?), rest))
    };
    let list = |length: u64, mut rest: &'b [u8]| -> mlua::Result<(Value, &'b [u8])> {
        let table = lua.create_table()?;
        for _ in 0..length {
            let (value, after) = unpack(lua, rest)?;
            table.raw_push(value)?;
            rest = after;
        }
        Ok((Value::Table(table), rest))
    };
    match kind {
        0x00..=0x7f => Ok((Value::Number(kind.into()), rest)),
        0xe0..=0xff => Ok((Value::Number(f64::from(kind as i8)), rest)),
        0xcc..=0xcf => number(1 << (kind - 0xcc)).map(|(number, rest)| (Value::Number(number as f64), rest)),
        0xd3 => number(8).map(|(number, rest)| (Value::Number(number as i64 as f64), rest)),
        0xa0..=0xbf => text((kind & 0x1f).into(), rest),
        0xd9 | 0xda => number(1 << (kind - 0xd9)).and_then(|(length, rest)| text(length, rest)),
        0x90..=0x9f => list((kind & 0x0f).into(), rest),
        0xdc => number(2).and_then(|(length, rest)| list(length, rest)),
        _ => Err(unknown("this kind")),
    }
}
