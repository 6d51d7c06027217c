//! What every element with a model has: its properties, what lives from start to stop, the faults of a frame,
//! and how it keeps up with a live stream.

mod fault;
mod live;
mod pace;
mod settings;
mod state;

pub(super) use fault::FrameFault;
pub(super) use live::Live;
pub(super) use settings::ModelSettings;
pub(super) use state::{Job, State};
