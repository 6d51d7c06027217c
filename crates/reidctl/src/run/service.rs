//! The thread that handles signals and serves the page.

use std::{io, net::SocketAddr, sync::Arc, sync::mpsc::Sender, thread};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::board::Board;
use crate::page::{self, Access, CurrentGallery};

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read the file again.
    Reload,
    /// Finish the files and end.
    Stop,
}

/// Signals are caught and the page's address is taken, but nothing is served yet.
pub struct Service {
    runtime: Runtime,
    hang_up: Signal,
    stops: [Signal; 2],
    page: Option<(TcpListener, Access)>,
}

/// Catches signals and takes the address of the page.
pub fn bind(access: Option<Access>) -> Result<Service, Box<dyn std::error::Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let page = access
        .map(|access| {
            let address = access.address();
            let bound = runtime.block_on(TcpListener::bind(address));
            let remedy = "choose another port with --listen";
            bound
                .map(|listener| (listener, access))
                .map_err(|error| format!("{address} cannot be listened on: {error}; {remedy}"))
        })
        .transpose()?;
    let (hang_up, interrupt) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::interrupt())?,
    );
    let terminate = signal(SignalKind::terminate())?;
    drop(inside);
    Ok(Service {
        runtime,
        hang_up,
        stops: [interrupt, terminate],
        page,
    })
}

impl Service {
    /// Where the page can be opened, with the port that the system chose for port 0.
    pub fn page(&self) -> Option<SocketAddr> {
        let (listener, _) = self.page.as_ref()?;
        listener.local_addr().ok()
    }

    /// Serves in a thread of its own, which ends with the program.
    pub fn start(
        self,
        board: Arc<Board>,
        gallery: CurrentGallery,
        orders: Sender<Order>,
    ) -> io::Result<()> {
        let thread = thread::Builder::new().name("page".into());
        thread.spawn(move || {
            let Self {
                runtime,
                mut hang_up,
                stops: [mut interrupt, mut terminate],
                page,
            } = self;
            let _inside = runtime.enter();
            if let Some((listener, access)) = page {
                runtime.spawn(page::serve(listener, access, board, gallery));
            }
            let reloads = orders.clone();
            runtime.spawn(async move {
                while hang_up.recv().await.is_some() && reloads.send(Order::Reload).is_ok() {}
            });
            let stops = orders.clone();
            runtime.spawn(async move {
                terminate.recv().await;
                let _ = stops.send(Order::Stop);
            });
            runtime.block_on(async {
                interrupt.recv().await;
                let _ = orders.send(Order::Stop);
                // The page shows how the cameras stop.
                std::future::pending::<()>().await;
            });
        })?;
        Ok(())
    }
}
