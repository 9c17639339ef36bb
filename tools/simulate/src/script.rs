//! The real function library of the line in an embedded interpreter: PUC Lua 5.1, as Redis has it.
//!
//! - Owns one Lua state with the globals of a Redis library. Calls the model of Redis only.
//! - A library is loaded again for each process of Redis, since it keeps state of its process.
//! - Values are converted as in Redis:
//!   <https://redis.io/docs/latest/develop/interact/programmability/lua-api/>.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

use crate::{
    msgpack,
    redis::{RedisProcess, RedisResult, Reply},
};

/// A loaded library.
pub struct Library {
    lua: Lua,
    body: Function,
    functions: Rc<RefCell<HashMap<String, Registered>>>,
    redis: Rc<RefCell<RedisProcess>>,
    work: Rc<Cell<u64>>,
}

struct Registered {
    callback: Function,
    no_writes: bool,
}

/// Marks an error of a command in the message of a Lua error.
const FROM_COMMAND: &str = "redis error: ";

fn outside(why: impl std::fmt::Display) -> mlua::Error {
    mlua::Error::runtime(why)
}

/// The bytes of an argument of `redis.call`: a string, or a number as Redis writes one.
fn append(bytes: &mut Vec<u8>, value: &Value) -> mlua::Result<()> {
    match value {
        Value::String(text) => bytes.extend_from_slice(&text.as_bytes()),
        Value::Integer(number) => bytes.extend_from_slice(number.to_string().as_bytes()),
        Value::Number(number) => bytes.extend_from_slice(written(*number).as_bytes()),
        _ => return Err(outside("Lua redis lib command arguments must be strings or integers")),
    }
    Ok(())
}

/// `%.17g` of what a script passes: whole numbers below 10^17 are plain.
fn written(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    format!("{number}")
}

fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Nil => Value::Boolean(false),
        Reply::Int(number) => Value::Number(number as f64),
        Reply::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        Reply::Status(word) => {
            let status = lua.create_table()?;
            status.raw_set("ok", word)?;
            Value::Table(status)
        }
        Reply::Array(replies) => {
            let array = lua.create_table_with_capacity(replies.len(), 0)?;
            for reply in replies {
                array.raw_push(to_lua(lua, reply)?)?;
            }
            Value::Table(array)
        }
    })
}

/// How many elements a reply has, nested ones included.
fn elements(reply: &Reply) -> u64 {
    match reply {
        Reply::Array(replies) => replies.iter().map(|reply| 1 + elements(reply)).sum(),
        _ => 0,
    }
}

fn from_lua(value: &Value) -> RedisResult {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Int(*number),
        Value::Number(number) => Reply::Int(*number as i64),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => {
            let field = |name: &str| table.raw_get::<Option<mlua::LuaString>>(name).ok().flatten();
            if let Some(error) = field("err") {
                return Err(error.to_string_lossy());
            }
            if field("ok").is_some() {
                return Ok(Reply::Status("OK"));
            }
            let mut replies = Vec::with_capacity(table.raw_len());
            for at in 1.. {
                match table.raw_get::<Value>(at).map_err(|error| error.to_string())? {
                    Value::Nil => break,
                    value => replies.push(from_lua(&value)?),
                }
            }
            Reply::Array(replies)
        }
        _ => Reply::Nil,
    })
}

/// The output of `cjson.encode`, except for the order of fields, which is unspecified.
fn json(value: &Value) -> mlua::Result<serde_json::Value> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Boolean(flag) => (*flag).into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) if number.fract() == 0.0 => (*number as i64).into(),
        Value::Number(number) => (*number).into(),
        Value::String(text) => text.to_string_lossy().into(),
        Value::Table(table) if table.raw_len() > 0 => {
            let values = table.sequence_values::<Value>().map(|value| json(&value?));
            serde_json::Value::Array(values.collect::<mlua::Result<_>>()?)
        }
        Value::Table(table) => {
            let mut object = serde_json::Map::new();
            for pair in table.pairs::<String, Value>() {
                let (name, value) = pair?;
                object.insert(name, json(&value)?);
            }
            serde_json::Value::Object(object)
        }
        _ => return Err(outside("Cannot serialise this type")),
    })
}

/// `struct.unpack` of the one format that the library uses: the number, and where the next one
/// begins.
fn unpack_number(format: &str, bytes: &[u8], at: usize) -> mlua::Result<(u32, usize)> {
    match (format, bytes.get(at - 1..).and_then(|rest| rest.first_chunk())) {
        (">I4", Some(chunk)) => Ok((u32::from_be_bytes(*chunk), at + 4)),
        (">I4", None) => Err(outside("data string too short")),
        _ => Err(outside(format!("the format {format} is not in the model"))),
    }
}

impl Library {
    /// Loads a library into a Redis.
    ///
    /// # Errors
    /// When Redis would refuse it.
    pub fn load(source: &str, redis: &Rc<RefCell<RedisProcess>>) -> Result<Self, String> {
        Self::loaded(source, redis).map_err(|error| error.to_string())
    }

    fn loaded(source: &str, redis: &Rc<RefCell<RedisProcess>>) -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE | StdLib::MATH, LuaOptions::default())?;
        let registered = Rc::<RefCell<HashMap<String, Registered>>>::default();
        let api = lua.create_table()?;
        let server = redis.clone();
        let work = Rc::<Cell<u64>>::default();
        let counted = work.clone();
        let call = move |lua: &Lua, args: MultiValue| {
            let (mut bytes, mut ends) = (Vec::with_capacity(128), Vec::with_capacity(args.len()));
            for arg in &args {
                append(&mut bytes, arg)?;
                ends.push(bytes.len());
            }
            let mut from = 0;
            let args: Vec<&[u8]> = ends.iter().map(|&to| &bytes[std::mem::replace(&mut from, to)..to]).collect();
            let answer = server.borrow_mut().command(&args);
            counted.set(counted.get() + 1 + answer.as_ref().map_or(0, elements));
            to_lua(lua, answer.map_err(|error| outside(format!("{FROM_COMMAND}{error}")))?)
        };
        api.set("call", lua.create_function(call)?)?;
        let functions = registered.clone();
        let register = move |_: &Lua, args: MultiValue| {
            let mut args = args.into_iter();
            let (name, callback, no_writes) = match (args.next(), args.next()) {
                (Some(Value::String(name)), Some(Value::Function(callback))) => {
                    (name.to_string_lossy(), callback, false)
                }
                (Some(Value::Table(named)), None) => {
                    let flags: Option<Vec<String>> = named.get("flags")?;
                    let no_writes = flags.is_some_and(|flags| flags.iter().any(|flag| flag == "no-writes"));
                    (named.get("function_name")?, named.get("callback")?, no_writes)
                }
                _ => return Err(outside("wrong arguments to redis.register_function")),
            };
            functions.borrow_mut().insert(name, Registered { callback, no_writes });
            Ok(())
        };
        api.set("register_function", lua.create_function(register)?)?;
        let error = |lua: &Lua, text: String| {
            let error = lua.create_table()?;
            error.set("err", text)?;
            Ok(error)
        };
        api.set("error_reply", lua.create_function(error)?)?;
        let globals = lua.globals();
        globals.set("redis", api)?;
        let cjson = lua.create_table()?;
        let encode = |_: &Lua, value: Value| Ok(json(&value)?.to_string());
        cjson.set("encode", lua.create_function(encode)?)?;
        globals.set("cjson", cjson)?;
        let cmsgpack = lua.create_table()?;
        let pack = |lua: &Lua, value: Value| {
            let mut bytes = Vec::new();
            msgpack::pack(&mut bytes, &value)?;
            lua.create_string(bytes)
        };
        cmsgpack.set("pack", lua.create_function(pack)?)?;
        let unpack = |lua: &Lua, bytes: mlua::LuaString| Ok(msgpack::unpack(lua, &bytes.as_bytes())?.0);
        cmsgpack.set("unpack", lua.create_function(unpack)?)?;
        globals.set("cmsgpack", cmsgpack)?;
        let structs = lua.create_table()?;
        let unpack = |_: &Lua, (format, bytes, at): (String, mlua::LuaString, Option<usize>)| {
            unpack_number(&format, &bytes.as_bytes(), at.unwrap_or(1))
        };
        structs.set("unpack", lua.create_function(unpack)?)?;
        globals.set("struct", structs)?;

        // The first line names the library and is no Lua.
        let body =
            source.split_once('\n').filter(|(first, _)| first.starts_with("#!")).map_or(source, |(_, body)| body);
        let body = lua.load(format!("\n{body}")).set_name("line").into_function()?;
        body.call::<()>(())?;
        Ok(Self { lua, body, functions: registered, redis: redis.clone(), work })
    }

    /// Loads the same library again for a new process; it forgets the state of the last one.
    ///
    /// # Errors
    /// When Redis would refuse it.
    pub fn reload(&self) -> Result<(), String> {
        self.body.call::<()>(()).map_err(|error| error.to_string())
    }

    /// Commands that functions executed since the last call, and elements of their replies.
    pub fn take_work(&self) -> u64 {
        self.work.take()
    }

    /// Calls a function.
    ///
    /// # Errors
    /// The error that Redis would return.
    pub fn call<K: AsRef<[u8]>, A: AsRef<[u8]>>(&self, function: &str, keys: &[K], args: &[A]) -> RedisResult {
        let registered = self.functions.borrow().get(function).map(|found| (found.callback.clone(), found.no_writes));
        let Some((callback, no_writes)) = registered else { return Err("ERR Function not found".to_owned()) };
        self.redis.borrow_mut().take_wrote();
        let table = |texts: &mut dyn Iterator<Item = &[u8]>| -> mlua::Result<Table> {
            let table = self.lua.create_table()?;
            for text in texts {
                table.raw_push(self.lua.create_string(text)?)?;
            }
            Ok(table)
        };
        let value = table(&mut keys.iter().map(AsRef::as_ref))
            .and_then(|keys| Ok((keys, table(&mut args.iter().map(AsRef::as_ref))?)))
            .and_then(|(keys, args)| callback.call::<Value>((keys, args)));
        if no_writes && self.redis.borrow_mut().take_wrote() {
            return Err("ERR Write commands are not allowed from read-only scripts.".to_owned());
        }
        match value {
            Ok(value) => from_lua(&value),
            Err(error) => {
                let text = error.to_string();
                // The error of a command is passed on unchanged.
                let error =
                    text.split_once(FROM_COMMAND).map(|(_, error)| error.lines().next().unwrap_or(error).to_owned());
                Err(error.unwrap_or_else(|| format!("ERR {text}")))
            }
        }
    }
}
