//! Serialises texts that threads share, without serde's feature `rc`, which would be on for every package.

use std::sync::Arc;

use serde::Serializer;

/// A text.
pub fn one<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// A text that may be missing.
pub fn some<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_some(&**text),
        None => serializer.serialize_none(),
    }
}
