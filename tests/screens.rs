//! What people see: scripted events and keys through the whole console, down to the bytes that a terminal would get.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "screens/budget.rs"]
mod budget;
#[path = "screens/honest.rs"]
mod honest;
#[path = "screens/live.rs"]
mod live;
#[path = "screens/pty.rs"]
mod pty;
#[path = "screens/scene.rs"]
mod scene;
#[path = "screens/shots.rs"]
mod shots;
#[path = "screens/story.rs"]
mod story;
#[path = "screens/sweep.rs"]
mod sweep;
#[path = "screens/together.rs"]
mod together;
