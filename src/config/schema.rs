//! stub
/// S.
#[must_use] pub fn schema() -> String { String::new() }
