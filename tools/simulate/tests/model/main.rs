//! The model of Redis against a real one, command by command and function by function.

mod commands;
mod functions;
mod real;
