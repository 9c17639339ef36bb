//! The model of Redis against a real one, command by command and function by function; and what
//! functions cost.

mod commands;
mod costs;
mod functions;
mod real;
