//! Lines to an MQTT broker (MQTT 3.1.1, QoS 1), from a thread of its own: the stream never waits for the network.
//!
//! Frames go to `topic`, what happens to identities to `topic/events`, and `topic/status` holds `{"status":"online"}` or, as the last will,
//! `{"status":"offline"}`, both retained. While the broker is away a limited number of messages waits, frames and events apart; the
//! oldest are dropped and counted.
//!
//! Locks: the queue's, for moments, never while the network is waited for.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use native_tls::TlsConnector;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    TlsConfiguration, Transport,
};
use tokio::{sync::Notify, time};

use super::{address::Address, output::Counts};
use crate::sync::lock;

/// Most messages that wait, of each kind. Two minutes of frames at 25 a second.
const MOST_WAITING: usize = 3_000;
/// Most bytes that wait, of each kind.
const MOST_BYTES: usize = 32 << 20;
/// Messages that are handed to the client ahead.
const AHEAD: usize = 16;
/// Largest message, bytes: a crowd with embeddings.
const LARGEST: usize = 16 << 20;
/// The same without topic and head.
const LARGEST_TEXT: usize = LARGEST - (128 << 10);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// First and longest wait before another attempt to connect.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// Longest time that stopping waits for what is on its way.
const CLOSING: Duration = Duration::from_secs(2);

const ONLINE: &str = r#"{"status":"online"}"#;
const OFFLINE: &str = r#"{"status":"offline"}"#;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Frame,
    Event,
    /// That somebody publishes; retained.
    Status,
}

/// What is said of the connection.
#[derive(Debug)]
pub(super) enum Report {
    /// The broker cannot be reached any more, or yet; said once until it is back.
    Away(String),
    /// It can, and that many messages were dropped so far.
    Back { dropped: u64 },
}

/// Messages of one kind, the oldest first.
#[derive(Default)]
struct Line {
    waiting: VecDeque<String>,
    bytes: usize,
}

impl Line {
    /// Appends a message; how many were dropped for it. One that no broker would take is dropped itself.
    fn push(&mut self, text: String) -> u64 {
        if text.len() > LARGEST_TEXT {
            return 1;
        }
        self.bytes += text.len();
        self.waiting.push_back(text);
        let mut dropped = 0;
        while self.waiting.len() > MOST_WAITING || self.bytes > MOST_BYTES {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    fn pop(&mut self) -> Option<String> {
        let text = self.waiting.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }
}

#[derive(Default)]
struct Queue {
    frames: Line,
    events: Line,
    dropped: u64,
    is_connected: bool,
    /// The broker is to be told that somebody publishes.
    is_unannounced: bool,
    is_closing: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something is waiting, or it is closing time.
    wake: Notify,
    closing: Notify,
    /// The broker has acknowledged another message.
    settled: Notify,
    /// Messages that the broker has acknowledged.
    acknowledged: AtomicU64,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// The next message; `None` at closing time when nothing waits.
    async fn next(&self) -> Option<(Kind, String)> {
        loop {
            let wake = self.wake.notified();
            {
                let mut queue = self.queue();
                if std::mem::take(&mut queue.is_unannounced) {
                    return Some((Kind::Status, ONLINE.to_owned()));
                }
                if let Some(text) = queue.events.pop() {
                    return Some((Kind::Event, text));
                }
                if let Some(text) = queue.frames.pop() {
                    return Some((Kind::Frame, text));
                }
                if queue.is_closing {
                    return None;
                }
            }
            wake.await;
        }
    }
}

/// A connection to a broker that keeps itself up. Closes when dropped, which takes two seconds at most.
pub(super) struct Broker {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Broker {
    /// Begins to connect, encrypted with `tls`. `report` is called by a thread of its own, with no lock held.
    pub fn open(
        address: Address,
        tls: Option<TlsConnector>,
        client_id: String,
        report: impl Fn(Report) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let session = Session {
            shared: shared.clone(),
            topic: address.topic.clone(),
            report: Box::new(report),
        };
        let options = options(&address, tls, client_id);
        let thread = thread::Builder::new()
            .name("reid-mqtt".into())
            .spawn(move || runtime.block_on(session.run(options)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Adds the lines of a frame to what waits. Never blocks.
    pub fn push_frame(&self, text: String) {
        let mut queue = self.shared.queue();
        let dropped = queue.frames.push(text);
        queue.dropped += dropped;
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Adds an event to what waits. Never blocks.
    pub fn push_event(&self, text: String) {
        let mut queue = self.shared.queue();
        let dropped = queue.events.push(text);
        queue.dropped += dropped;
        drop(queue);
        self.shared.wake.notify_one();
    }

    pub fn counts(&self) -> Counts {
        let queue = self.shared.queue();
        Counts {
            written: self.shared.acknowledged.load(Ordering::Relaxed),
            dropped: queue.dropped,
            waiting: (queue.frames.waiting.len() + queue.events.waiting.len()) as u64,
            is_connected: queue.is_connected,
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.queue().is_closing = true;
        self.shared.wake.notify_one();
        self.shared.closing.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in there has been printed.
            let _ = thread.join();
        }
    }
}

fn options(address: &Address, tls: Option<TlsConnector>, client_id: String) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, &address.host, address.port);
    if let Some(connector) = tls {
        let tls = TlsConfiguration::NativeConnector(connector);
        options.set_transport(Transport::tls_with_config(tls));
    }
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(LARGEST, LARGEST);
    let will = LastWill::new(status(&address.topic), OFFLINE, QoS::AtLeastOnce, true);
    options.set_last_will(will);
    if let Some(user) = &address.user {
        options.set_credentials(user, address.password.as_deref().unwrap_or_default());
    }
    options
}

/// Why there is no connection, with the remedy where it is about certificates.
fn reason(error: &ConnectionError) -> String {
    let ConnectionError::Tls(tls) = error else {
        return error.to_string();
    };
    let text = tls.to_string();
    let remedy = if text.contains("certificate verify failed") {
        "The broker's certificate is not trusted: set ca-file to the certificate of its authority, and use the host's name that the certificate has"
    } else if text.contains("hostname mismatch") || text.contains("IP address mismatch") {
        "Use the host's name that the broker's certificate has"
    } else {
        "Check that this port of the broker speaks TLS, and whether it wants a certificate (certificate-file, key-file)"
    };
    format!("{text}. {remedy}")
}

fn status(topic: &str) -> String {
    format!("{topic}/status")
}

/// What the thread works with.
struct Session {
    shared: Arc<Shared>,
    topic: String,
    report: Box<dyn Fn(Report) + Send>,
}

impl Session {
    async fn run(self, options: MqttOptions) {
        let (client, events) = AsyncClient::new(options, AHEAD);
        let late = async {
            self.shared.closing.notified().await;
            time::sleep(CLOSING).await;
        };
        let mut receive = pin!(self.receive(events));
        let mut late = pin!(late);
        tokio::select! {
            () = &mut receive => return,
            () = &mut late => return,
            () = self.send(&client) => {}
        }
        // Handed over: until the broker has acknowledged it.
        tokio::select! {
            () = receive => {}
            () = late => {}
        }
    }

    /// Hands messages to the client, which takes a few ahead, until closing time.
    async fn send(&self, client: &AsyncClient) {
        let mut handed = 0;
        while let Some((kind, text)) = self.shared.next().await {
            let topic = match kind {
                Kind::Frame => self.topic.clone(),
                Kind::Event => format!("{}/events", self.topic),
                Kind::Status => status(&self.topic),
            };
            let is_retained = kind == Kind::Status;
            handed += 1;
            // Fails only when the other half is gone.
            let _ = client
                .publish(topic, QoS::AtLeastOnce, is_retained, text)
                .await;
        }
        let topic = status(&self.topic);
        let _ = client.publish(topic, QoS::AtLeastOnce, true, OFFLINE).await;
        handed += 1;
        // A connection that closes with acknowledgements unread is reset, and the broker loses what it has not read yet.
        while self.shared.acknowledged.load(Ordering::Relaxed) < handed {
            self.shared.settled.notified().await;
        }
        let _ = client.disconnect().await;
    }

    /// Keeps the connection up, until it is closed.
    async fn receive(&self, mut events: EventLoop) {
        let mut wait = WAITS.0;
        let mut is_away = false;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    wait = WAITS.0;
                    let dropped = {
                        let mut queue = self.shared.queue();
                        queue.is_connected = true;
                        queue.is_unannounced = true;
                        queue.dropped
                    };
                    self.shared.wake.notify_one();
                    if std::mem::take(&mut is_away) {
                        (self.report)(Report::Back { dropped });
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    self.shared.settled.notify_one();
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    let is_closing = {
                        let mut queue = self.shared.queue();
                        queue.is_connected = false;
                        queue.is_closing
                    };
                    if is_closing {
                        return;
                    }
                    if !std::mem::replace(&mut is_away, true) {
                        (self.report)(Report::Away(reason(&error)));
                    }
                    time::sleep(wait).await;
                    wait = (wait * 2).min(WAITS.1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_go_when_too_many_wait() {
        let mut line = Line::default();
        let dropped: u64 = (0..MOST_WAITING + 5)
            .map(|i| line.push(i.to_string()))
            .sum();
        assert_eq!((dropped, line.waiting.len()), (5, MOST_WAITING));
        assert_eq!(line.pop().as_deref(), Some("5"));
        let mut line = Line::default();
        let large = "x".repeat(MOST_BYTES / 3);
        let dropped: Vec<u64> = (0..5).map(|_| line.push(large.clone())).collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(line.bytes, 3 * large.len());
        assert_eq!(line.push("y".repeat(LARGEST)), 1, "too large for a broker");
        assert_eq!(line.waiting.len(), 3);
    }
}
