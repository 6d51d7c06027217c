//! Lines to an MQTT broker (MQTT 3.1.1, QoS 1), from a thread of its own: the stream never waits for the network.
//!
//! Frames go to `topic`, what happens to identities to `topic/events`, and `topic/status` holds `{"status":"online"}` or, as the last will,
//! `{"status":"offline"}`, both retained. While the broker is away a limited number of messages waits, frames and events apart; the
//! oldest are dropped and counted.
//!
//! Locks: the queue's, for moments, never while the network is waited for.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    TlsConfiguration, Transport,
};
use tokio::{sync::Notify, time};

use super::{
    connect::Target,
    output::{Broker, Counts, OpenError},
    report::{Report, Reporter},
    waiting::{Kind, LARGEST, Waiting},
};
use crate::sync::lock;

/// Messages that are handed to the client ahead.
const AHEAD: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// First and longest wait before another attempt to connect.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// Longest time that stopping waits for what is on its way.
const CLOSING: Duration = Duration::from_secs(2);

const ONLINE: &str = r#"{"status":"online"}"#;
const OFFLINE: &str = r#"{"status":"offline"}"#;

/// What a message goes to.
enum Subject {
    Of(Kind),
    /// That somebody publishes; retained.
    Status,
}

#[derive(Default)]
struct Queue {
    waiting: Waiting,
    /// The broker is to be told that somebody publishes.
    is_unannounced: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something is waiting, or it is closing time.
    wake: Notify,
    closing: Notify,
    /// The broker has acknowledged another message.
    settled: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn push(&self, kind: Kind, text: String) {
        self.queue().waiting.push(kind, text);
        self.wake.notify_one();
    }

    /// The next message; `None` at closing time when nothing waits.
    async fn next(&self) -> Option<(Subject, String)> {
        loop {
            let wake = self.wake.notified();
            {
                let mut queue = self.queue();
                if std::mem::take(&mut queue.is_unannounced) {
                    return Some((Subject::Status, ONLINE.to_owned()));
                }
                if let Some((kind, text)) = queue.waiting.pop() {
                    return Some((Subject::Of(kind), text));
                }
                if queue.waiting.is_closing {
                    return None;
                }
            }
            wake.await;
        }
    }
}

/// A connection to a broker that keeps itself up. Closes when dropped, which takes two seconds at most.
pub(super) struct Mqtt {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Mqtt {
    /// Begins to connect.
    pub fn open(target: Target, report: Reporter) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let session = Session {
            shared: shared.clone(),
            topic: target.address.topic.clone(),
            report,
        };
        let options = options(target);
        let thread = thread::Builder::new()
            .name("reid-mqtt".into())
            .spawn(move || runtime.block_on(session.run(options)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Broker for Mqtt {
    fn push_frame(&self, text: String) {
        self.shared.push(Kind::Frame, text);
    }

    fn push_event(&self, text: String) {
        self.shared.push(Kind::Event, text);
    }

    fn counts(&self) -> Counts {
        self.shared.queue().waiting.counts()
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.shared.queue().waiting.is_closing = true;
        self.shared.wake.notify_one();
        self.shared.closing.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in there has been printed.
            let _ = thread.join();
        }
    }
}

fn options(target: Target) -> MqttOptions {
    let address = target.address;
    let mut options = MqttOptions::new(target.client, &address.server.host, address.server.port);
    if let Some(connector) = target.tls {
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
    report: Reporter,
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
        while let Some((subject, text)) = self.shared.next().await {
            let (topic, is_retained) = match subject {
                Subject::Of(Kind::Frame) => (self.topic.clone(), false),
                Subject::Of(Kind::Event) => (format!("{}/events", self.topic), false),
                Subject::Status => (status(&self.topic), true),
            };
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
        while self.shared.queue().waiting.acknowledged < handed {
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
                        queue.waiting.is_connected = true;
                        queue.is_unannounced = true;
                        queue.waiting.dropped
                    };
                    self.shared.wake.notify_one();
                    if std::mem::take(&mut is_away) {
                        (self.report)(Report::Back { dropped });
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    self.shared.queue().waiting.acknowledged += 1;
                    self.shared.settled.notify_one();
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    let is_closing = {
                        let mut queue = self.shared.queue();
                        queue.waiting.is_connected = false;
                        queue.waiting.is_closing
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
