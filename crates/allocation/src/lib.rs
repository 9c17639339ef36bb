//! Which waiting ticket is promised which item of a sale.
//!
//! Pure: no clock, no I/O and no randomness. The mechanism is a *serial dictatorship* with second
//! chances. In the order of the line, each ticket is promised the first item of its wishes that has
//! a free unit. A ticket whose wishes are all taken for now is *passed over*: it stays in the line,
//! and is the first in order for the next unit of any item that it wants.
//!
//! - A [`Line`] has the waiting tickets with their [`Wishes`]. A change of wishes never changes a
//!   place.
//! - A [`Supply`] has the free units of a round, and serves lines from them, ticket by ticket.
//! - [`check()`] replays a round, and names the first ticket that it wronged.
//!
//! **No shopper gains by stating other wishes than the true ones**, and a round leaves no unit that
//! anyone would rather have had. Where each gets one unit, serial dictatorships are the only
//! mechanisms that are group strategy-proof and treat all items alike: Lars-Gunnar Svensson,
//! "Strategy-proof allocation of indivisible goods", *Social Choice and Welfare* 16(4), 557–567,
//! 1999.
//!
//! This holds within a round. Over time, wishes say what a shopper accepts *now*: a ticket that
//! lists a second choice takes it, even if its first choice comes free a moment later. With true
//! wishes a ticket is served as early as it can be, and then as well as it can be.
//!
//! ```
//! use std::num::NonZeroU32;
//!
//! use fairline_allocation::{ItemId, Line, Offer, Promise, Request, Supply, Unfairness, Wishes};
//! use fairline_allocation::check;
//!
//! let [small, large] = [1, 2].map(|number| ItemId::new(number).expect("an item"));
//! let wants = |wishes| Request { wishes, units: NonZeroU32::MIN };
//! let mut line = Line::default();
//! line.wait(1, wants(Wishes::of(&[large])?));
//! line.wait(2, wants(Wishes::of(&[large, small])?));
//! line.wait(3, wants(Wishes::ANY));
//! let before = line.clone();
//!
//! let offer = |free| Offer { free, per_shopper: NonZeroU32::MIN };
//! let mut supply = Supply::from_iter([(small, offer(1)), (large, offer(1))]);
//! let round: Vec<Promise> = std::iter::from_fn(|| supply.serve(&mut line)).collect();
//! let promise = |number, item| Promise { number, item, units: 1 };
//! assert_eq!(round, [promise(1, large), promise(2, small)]);
//!
//! assert_eq!(check(&mut before.clone(), &round), Ok(()));
//! let dishonest = [promise(2, large)];
//! let wronged = check(&mut before.clone(), &dishonest).expect_err("ticket 1 was first");
//! assert_eq!(wronged.wrong, Unfairness::PassedOver(1));
//! # Ok::<(), fairline_allocation::InvalidWishes>(())
//! ```
//!
//! The index of a line goes by item, so a round costs nothing for the tickets that it passes over,
//! however many they are.

mod check;
mod line;
mod supply;
mod wishes;

pub use check::{UnfairPromise, Unfairness, check};
pub use line::{Line, Number, Request};
pub use supply::{Offer, Promise, Supply};
pub use wishes::{ITEMS_MAX, InvalidWishes, ItemId, WISHES_MAX, Wishes};
