//! Conversion between the gallery and rows of the tables.

use crate::core::person::IdentityId;

/// What a statement comes to.
pub(super) type Done<T> = Result<T, postgres::Error>;

/// A person's number as the server's integers.
pub(super) fn number(id: IdentityId) -> i32 {
    // Numbers stay below 2^31.
    i32::try_from(id.0).unwrap_or(i32::MAX)
}

/// Several at once.
pub(super) fn numbers(ids: &[IdentityId]) -> Vec<i32> {
    ids.iter().copied().map(number).collect()
}

/// And back.
pub(super) fn identity(number: i32) -> IdentityId {
    IdentityId(u32::try_from(number).unwrap_or(0))
}

/// Several at once.
pub(super) fn identities(numbers: &[i32]) -> Vec<IdentityId> {
    numbers.iter().copied().map(identity).collect()
}
