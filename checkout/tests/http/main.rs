//! Checkout from the outside: HTTP on a real listener, a real Postgres, and the sandbox gateway
//! over HTTP.

mod accounts;
mod catalogue;
mod clocks;
mod crash;
mod events;
mod gate;
mod gateway;
mod letters;
mod logs;
mod money;
mod once;
mod outage;
mod payment;
mod people;
mod plumbing;
mod pools;
mod purchase;
mod retention;
mod shop;
mod shops_own;
mod sweeper;
mod webhook;
mod withdrawal;
