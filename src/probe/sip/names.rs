//! Branches, tags and Call-IDs: never used twice, from a seeded generator.

/// Makes names for one exchange.
#[derive(Debug)]
pub(crate) struct Names(fastrand::Rng);

impl Names {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator of its own.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// Begins with the cookie by which RFC 3261 section 8.1.1.7 tells a unique branch.
    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.long())
    }

    pub(crate) fn tag(&mut self) -> String {
        format!("{:016x}", self.0.u64(..))
    }

    /// 128 random bits.
    pub(crate) fn long(&mut self) -> String {
        format!("{:032x}", self.0.u128(..))
    }

    /// The number of an offer.
    pub(crate) fn session(&mut self) -> u64 {
        u64::from(self.0.u32(1..))
    }
}
