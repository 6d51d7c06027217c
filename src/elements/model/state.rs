//! State of an element with a model, from start to stop. The worker, which uses the model, is taken out of the state while it
//! runs, so that no lock is held during inference.

use std::sync::Arc;

/// What lives from start to stop. `notes` is what an element remembers beside the worker and the caps.
pub(in crate::elements) struct State<Worker, Notes> {
    /// `None` while it works.
    worker: Option<Box<Worker>>,
    /// `None` before the caps are known.
    info: Option<Arc<gst_video::VideoInfo>>,
    pub notes: Notes,
}

/// What one frame takes.
pub(in crate::elements) struct Job<Worker> {
    pub worker: Box<Worker>,
    pub info: Arc<gst_video::VideoInfo>,
}

impl<Worker, Notes> State<Worker, Notes> {
    /// Ready to start.
    pub fn new(worker: Worker, notes: Notes) -> Self {
        Self {
            worker: Some(Box::new(worker)),
            info: None,
            notes,
        }
    }

    /// Takes the caps' word for what frames are like.
    pub fn set_caps(
        &mut self,
        category: &gst::DebugCategory,
        caps: &gst::CapsRef,
    ) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| gst::loggable_error!(category, "caps {caps} are not raw video"))?;
        self.info = Some(Arc::new(info));
        Ok(())
    }

    /// What frames are like; an error before the caps are known.
    pub fn info(&self) -> Result<Arc<gst_video::VideoInfo>, gst::FlowError> {
        self.info.clone().ok_or(gst::FlowError::NotNegotiated)
    }

    /// Hands out the worker and what frames are like, until [`Self::put_back`].
    pub fn take_job(&mut self) -> Result<Job<Worker>, gst::FlowError> {
        let info = self.info()?;
        let worker = self.take_worker().ok_or(gst::FlowError::Flushing)?;
        Ok(Job { worker, info })
    }

    /// The worker alone, if it does not work.
    pub fn take_worker(&mut self) -> Option<Box<Worker>> {
        self.worker.take()
    }

    /// The worker has done its work.
    pub fn put_back(&mut self, worker: Box<Worker>) {
        self.worker = Some(worker);
    }

    /// The worker where it is, if it does not work.
    pub fn worker_mut(&mut self) -> Option<&mut Worker> {
        self.worker.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_handed_out_once_and_only_with_caps() {
        gst::init().unwrap();
        let category = gst::DebugCategory::new("model-state", gst::DebugColorFlags::empty(), None);
        let mut state = State::new("worker", ());
        assert_eq!(state.take_job().err(), Some(gst::FlowError::NotNegotiated));
        assert!(state.worker_mut().is_some());
        let sound = gst::Caps::builder("audio/x-raw").build();
        assert!(state.set_caps(&category, &sound).is_err());
        let video = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 64, 48)
            .build()
            .and_then(|info| info.to_caps())
            .unwrap();
        state.set_caps(&category, &video).unwrap();
        let Job { worker, info } = state.take_job().unwrap();
        assert_eq!((*worker, info.width()), ("worker", 64));
        assert_eq!(state.take_job().err(), Some(gst::FlowError::Flushing));
        state.put_back(worker);
        assert!(state.take_job().is_ok());
    }
}
