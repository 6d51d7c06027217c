//! Reports the state of the program to systemd, by the datagrams of sd_notify(3).

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::{Duration, Instant},
};

/// The service manager; does nothing without one.
#[derive(Debug)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    last: Option<Instant>,
}

impl Manager {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(&path),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        let number =
            |name: &str| -> Option<u64> { env::var(name).ok().and_then(|text| text.parse().ok()) };
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours);
        Self {
            socket,
            // Twice as often as it must be.
            watchdog: watchdog.map(|us| Duration::from_micros(us) / 2),
            last: None,
        }
    }

    /// Sends a state such as `READY=1`. Nobody is there to hear of a failure but the manager itself.
    pub fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }

    /// Says that the program is alive, when it is time.
    pub fn alive(&mut self) {
        let Some(interval) = self.watchdog else {
            return;
        };
        if self.last.is_none_or(|last| last.elapsed() >= interval) {
            self.tell("WATCHDOG=1");
            self.last = Some(Instant::now());
        }
    }
}
