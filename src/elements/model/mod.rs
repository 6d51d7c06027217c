//! What elements with a model have: properties, what lives from start to stop, the faults of a frame, frames in flight, and how
//! they keep up with a live stream.

mod fault;
mod flight;
mod live;
mod pace;
mod settings;
mod state;

pub(super) use fault::FrameFault;
pub(super) use flight::{Crew, Flight, Make};
pub(super) use live::Live;
pub(super) use settings::ModelSettings;
pub(super) use state::{Job, State};
