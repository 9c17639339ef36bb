//! The waiting room over HTTP, with a real Redis. The tests publish what a controller would.

mod accounts;
mod clocks;
mod recovery;
mod rejections;
mod requests;
mod sockets;
mod support;
mod transports;
mod waiting;
