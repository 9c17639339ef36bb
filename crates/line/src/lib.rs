//! The line of a sale: who waits, in which order.
//!
//! [`ticket`] is what a shopper holds, [`view`] is the arithmetic of places, [`change`] is what happens to a line, and
//! [`store`] keeps it in Redis.

mod bitmap;
pub mod change;
pub mod store;
pub mod ticket;
pub mod view;
