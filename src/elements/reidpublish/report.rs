//! What connections say on the bus.

use gst::prelude::*;

use super::ReidPublish;
use crate::store::without_password;

/// What is said of a connection.
#[derive(Debug)]
pub(super) enum Report {
    /// The other side cannot be reached any more, or yet; said once until it is back.
    Away(String),
    /// It can, and that many messages were dropped so far.
    Back { dropped: u64 },
}

/// Says how the connection is. Called by a thread of the connection's, with no lock held.
pub(super) type Reporter = Box<dyn Fn(Report) + Send + Sync>;

/// Posts what a connection says to the bus, until the element is gone.
pub(super) fn teller(element: &ReidPublish, location: &str) -> Reporter {
    let element = element.downgrade();
    let broker = without_password(location);
    Box::new(move |report| {
        let Some(element) = element.upgrade() else {
            return;
        };
        match report {
            Report::Away(error) => gst::element_warning!(
                element,
                gst::ResourceError::OpenWrite,
                ("{broker} cannot be reached: {error}. Messages wait; the oldest are dropped when too many do (stats: waiting, dropped)")
            ),
            Report::Back { dropped } => gst::element_info!(
                element,
                gst::ResourceError::Write,
                ("{broker} is reached again; {dropped} messages were dropped since the start")
            ),
        }
    })
}
