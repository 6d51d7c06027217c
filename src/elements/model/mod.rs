//! What every element with a model has: its properties, what lives from start to stop, and the faults of a frame.

mod fault;
mod settings;
mod state;

pub(super) use fault::FrameFault;
pub(super) use settings::ModelSettings;
pub(super) use state::{Job, State};
