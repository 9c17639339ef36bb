//! The line, in a real Redis.

mod changes;
mod draws;
mod epochs;
mod joins;
mod order;
mod presence;
mod property;
mod shards;
mod support;
mod turns;
