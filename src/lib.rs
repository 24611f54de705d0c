//! `warroom` measures how fast contact-centre platforms really recover.
//!
//! Each module is one room of the house that `ARCHITECTURE.md` describes; a test holds their imports
//! against its floors.

pub mod attach;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod domain;
pub mod engine;
pub mod expression;
pub mod platform;
pub mod probe;
pub mod sim;
pub mod store;
