//! The line of a sale: tickets, places, and the line's state in Redis.

pub mod ticket;
