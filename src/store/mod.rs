//! Where a gallery is kept, and how the elements of a process find it.
//!
//! In memory it is a [`crate::core::identity::Gallery`] behind a lock. With a location, the persistence worker (`persistence`) writes
//! its changes to a database and reads the changes of others; streaming threads never wait for it.

pub mod archive;
mod backend;
pub mod cameras;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod encoding;
mod error;
mod kinds;
mod location;
mod model_lock;
mod persistence;
#[cfg(feature = "postgres")]
mod postgres;
mod records;
pub mod registry;
pub mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use error::StoreError;
pub use location::{Location, SecretUri, without_password};
pub use persistence::Notice;
pub use records::{KeptPerson, KeptSighting};
