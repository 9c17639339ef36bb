//! The line of a sale: who waits, in which order.
//!
//! [`ticket`] is what a shopper holds, [`invitation`] what somebody needs to join a lane, [`view`] is the arithmetic of
//! places, [`change`] is what happens to a line, [`store`] keeps it in Redis, and
//! [`port`] is what it asks of Redis.
//!
//! A lane is a line of its own, under an id of its own, whose card says which sale it leads to.

mod bitmap;
pub mod change;
pub mod invitation;
pub mod port;
pub mod store;
pub mod ticket;
pub mod view;
