//! The line, in a real Redis.

mod changes;
mod draws;
mod epochs;
mod joins;
mod order;
mod presence;
mod property;
mod support;
mod turns;
