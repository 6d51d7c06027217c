//! The stores of this build. No other file checks the features `sqlite` and `postgres`.

use std::sync::Arc;

use super::{
    Location, StoreError,
    backend::{Database, Purpose, Records},
    model_lock::ModelLock,
};

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite::{Access, Sqlite};

/// The database of a gallery at `location`; `None` for memory. `model` is set to the model of its vectors.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(unused_variables, reason = "nothing here could hold a model's vectors")
)]
pub(super) fn open_database(
    location: &Location,
    model: &Arc<ModelLock>,
) -> Result<Option<Box<dyn Database>>, StoreError> {
    match location {
        Location::Memory => Ok(None),
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => Ok(Some(Box::new(Sqlite::keep(path, model.clone())?))),
        #[cfg(feature = "postgres")]
        Location::Postgres(uri) => Ok(Some(Box::new(postgres::Postgres::new(
            uri.reveal(),
            model.clone(),
        )?))),
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        missing => Err(not_built(missing)),
    }
}

/// What is kept at `location`, to be read and corrected; never makes anything.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(unused_variables, reason = "nothing here could be opened")
)]
pub(super) fn open_records(
    location: &Location,
    purpose: Purpose,
) -> Result<Box<dyn Records>, StoreError> {
    match location {
        Location::Memory => Err(StoreError::Location(String::new())),
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => {
            let access = match purpose {
                Purpose::Look => Access::Read,
                Purpose::Correct => Access::Change,
            };
            Ok(Box::new(Sqlite::open(path, access)?))
        }
        #[cfg(feature = "postgres")]
        Location::Postgres(uri) => Ok(Box::new(postgres::Archive::open(uri.reveal(), purpose)?)),
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        missing => Err(not_built(missing)),
    }
}

/// Makes what is to keep a gallery at `location`, or brings it to the newest layout.
pub(super) fn prepare(location: &Location) -> Result<(), StoreError> {
    match location {
        Location::Memory => Err(StoreError::Location(String::new())),
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => Sqlite::open(path, Access::Keep).map(drop),
        #[cfg(feature = "postgres")]
        Location::Postgres(uri) => postgres::make(uri.reveal()),
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        missing => Err(not_built(missing)),
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn not_built(location: &Location) -> StoreError {
    StoreError::NotBuilt {
        location: location.shown(),
        feature: match location {
            Location::Sqlite(_) => "sqlite",
            _ => "postgres",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in every build; what it asks for depends on the features.
    #[test]
    fn a_store_that_was_not_built_is_refused_with_the_remedy() {
        for (uri, feature, is_built) in [
            (
                "sqlite:///no/such/folder/lobby.db",
                "sqlite",
                cfg!(feature = "sqlite"),
            ),
            (
                "postgresql://ada:secret@h/d?port=x",
                "postgres",
                cfg!(feature = "postgres"),
            ),
        ] {
            let location = Location::parse(uri).unwrap();
            let refused = [
                open_database(&location, &Arc::default()).map(drop),
                open_records(&location, Purpose::Look).map(drop),
                prepare(&location),
            ];
            for refused in refused {
                let message = refused.unwrap_err().to_string();
                let remedy = format!("--features {feature}");
                assert_eq!(message.contains(&remedy), !is_built, "{message}");
                assert!(!message.contains("secret"), "{message}");
            }
        }
    }
}
