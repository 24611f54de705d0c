//! stub
/// S.
#[must_use] pub fn show(_c: &super::model::Config) -> String { String::new() }
