//! Checkout through its outermost door: HTTP on a real listener, a real Postgres, and the sandbox gateway over HTTP.
//!
//! On several threads, since dropping a test's database blocks one: were it the only one, a connection that was about to
//! sign in could not, and the database would wait for it.

mod crash;
mod outage;
mod payment;
mod plumbing;
mod purchase;
mod shop;
