//! The line of a sale: the waiting shoppers and their order.
//!
//! | module | owns |
//! |---|---|
//! | [`ticket`] | what a shopper holds |
//! | [`invitation`] | what a shopper needs to join a lane |
//! | [`places`] | the arithmetic of places (pure) |
//! | [`change`] | what happens to a line |
//! | [`store`] | the line in Redis |
//! | [`port`] | the interface to Redis, and the function library |
//!
//! A lane is a separate line with its own id. Its card names the sale that it leads to.

mod bitmap;
pub mod change;
pub mod invitation;
pub mod places;
pub mod port;
pub mod store;
pub mod ticket;
