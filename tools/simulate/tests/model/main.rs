//! The model of Redis against a real one: command by command, and function by function of the library.

mod commands;
mod functions;
mod real;
